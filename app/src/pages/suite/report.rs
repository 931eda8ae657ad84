//! What the report adds once everything is final: the matrix, times, tokens.

use super::live::Live;
use crate::components::chip::run_look;
use crate::components::words::{duration, p50_p95};
use crate::domain::{RoleUsage, Run, RunStatus, ScenarioId, Usage};
use crate::pages::run::parts::{fact, usage_table};
use leptos::prelude::*;

/// Matrix, times and tokens of a finished suite.
pub(super) fn below(live: Live) -> AnyView {
    let runs: Vec<Run> = live.state.with_value(|state| state.runs.clone());
    let repeats = live.suite.with_untracked(|suite| suite.repeats);
    view! {
        {(repeats > 1).then(|| matrix(&runs))}
        {times(&runs)}
        {usage_table(&sum(&runs))}
    }
    .into_any()
}

/// Scenarios down, repetitions across: what is flaky shows at once.
fn matrix(runs: &[Run]) -> AnyView {
    let mut order: Vec<ScenarioId> = Vec::new();
    for run in runs {
        if !order.contains(&run.scenario.id) {
            order.push(run.scenario.id);
        }
    }
    let last = runs.iter().map(|run| run.repetition).max().unwrap_or(1);
    let head = (1..=last).map(|n| view! { <th scope="col" class="num">"#" {n}</th> });
    let rows = order.into_iter().map(|scenario| {
        let mut own: Vec<&Run> = runs.iter().filter(|run| run.scenario.id == scenario).collect();
        own.sort_by_key(|run| run.repetition);
        let name = own.first().map(|run| run.scenario.name.clone());
        let cells = own.into_iter().map(|run| {
            let (tone, icon) = run_look(run.status);
            let label = format!("#{}: {}", run.repetition, run.status.label());
            view! {
                <td class="num"><a class=format!("cell {tone}") href=format!("/runs/{}", run.id)
                    aria-label=label.clone() title=label>{icon}</a></td>
            }
        });
        view! { <tr><th scope="row">{name}</th>{cells.collect_view()}</tr> }
    });
    view! {
        <section>
            <h2 id="matrix-head">"Repetitions"</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Matrix of repetitions">
                <table class="matrix">
                    <thead><tr><th scope="col">"Scenario"</th>{head.collect_view()}</tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

fn times(runs: &[Run]) -> AnyView {
    // One that was stopped, or never got far, says nothing about how long they take.
    let judged = runs.iter().filter(|run| {
        matches!(run.status, RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive)
    });
    let Some((half, most)) = p50_p95(judged.filter_map(|run| run.duration_ms).collect()) else {
        return ().into_any();
    };
    view! {
        <section>
            <h2>"Time of a run"</h2>
            <dl class="facts-list">
                {fact("Half are faster than", duration(half))}
                {fact("95 % are faster than", duration(most))}
            </dl>
        </section>
    }
    .into_any()
}

/// The usage of all runs; the cost only where all of it is known.
fn sum(runs: &[Run]) -> Usage {
    let add = |pick: fn(&Usage) -> &RoleUsage| {
        let used = runs.iter().map(|run| pick(&run.usage)).filter(|role| role.calls > 0);
        let mut total = RoleUsage { cost_usd: Some(0.0), ..RoleUsage::default() };
        for role in used {
            total.calls = total.calls.saturating_add(role.calls);
            total.input_tokens = total.input_tokens.saturating_add(role.input_tokens);
            total.output_tokens = total.output_tokens.saturating_add(role.output_tokens);
            total.cost_usd = total.cost_usd.zip(role.cost_usd).map(|(a, b)| a + b);
        }
        if total.calls == 0 {
            total.cost_usd = None;
        }
        total
    };
    Usage {
        agent: add(|usage| &usage.agent),
        simulated_user: add(|usage| &usage.simulated_user),
        judge: add(|usage| &usage.judge),
    }
}

//! Report of a finished suite: matrix of repeats, run durations, token usage.

use super::live::LiveSuite;
use crate::components::chip::run_status_style;
use crate::components::format::{duration, p50_p95};
use crate::domain::{Run, RunStatus, ScenarioId, Usage};
use crate::pages::run::parts::{fact, usage_table};
use leptos::prelude::*;

pub(super) fn below(live: LiveSuite) -> AnyView {
    let runs: Vec<Run> = live.state.with_value(|state| state.runs.clone());
    let repeats = live.suite.with_untracked(|suite| suite.repeats);
    view! {
        {(repeats > 1).then(|| matrix(&runs))}
        {durations(&runs)}
        {usage_table(&total_usage(&runs))}
    }
    .into_any()
}

/// Scenarios as rows and repeats as columns, which shows flaky scenarios.
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
            let (tone, icon) = run_status_style(run.status);
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
            <h2 id="matrix-head">"Repeats"</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Results of each repeat">
                <table class="matrix">
                    <thead><tr><th scope="col">"Scenario"</th>{head.collect_view()}</tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

fn durations(runs: &[Run]) -> AnyView {
    // Canceled runs and runs with errors would distort the durations.
    let judged = runs.iter().filter(|run| {
        matches!(run.status, RunStatus::Passed | RunStatus::Failed | RunStatus::Inconclusive)
    });
    let Some((p50, p95)) = p50_p95(judged.filter_map(|run| run.duration_ms).collect()) else {
        return ().into_any();
    };
    view! {
        <section>
            <h2>"Run duration"</h2>
            <dl class="facts-list">
                {fact("p50", duration(p50))}
                {fact("p95", duration(p95))}
            </dl>
        </section>
    }
    .into_any()
}

/// Total usage of all runs.
fn total_usage(runs: &[Run]) -> Usage {
    let mut total = Usage::default();
    runs.iter().for_each(|run| total.merge(&run.usage));
    total
}

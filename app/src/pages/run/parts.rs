//! Parts of a run that several pages show.

use crate::components::chip::run_chip;
use crate::components::time::{clock, maybe_time, time};
use crate::components::words::{cost, duration, grouped, score};
use crate::domain::{Evaluation, Run, RunStatus, Usage, WaitingOn};
use leptos::prelude::*;

/// Without WASM an unfinished page asks for itself again. As HTML text: with
/// scripts on, a parser reads what is inside as text, not as elements.
pub fn refresh() -> AnyView {
    view! { <noscript inner_html="<meta http-equiv=\"refresh\" content=\"3\">"></noscript> }
        .into_any()
}

/// The verdict in one sentence.
#[must_use]
pub fn verdict_sentence(run: &Run, evaluation: Option<&Evaluation>) -> String {
    match run.status {
        RunStatus::Error => run.error.as_ref().map_or_else(
            || "We could not find out.".to_owned(),
            |error| format!("No verdict ({}): {}", error.kind.label(), error.message),
        ),
        RunStatus::Cancelled => "Stopped by hand. What was said so far is kept.".to_owned(),
        RunStatus::Pending => now(run),
        RunStatus::Running => now(run),
        _ => match evaluation {
            Some(e) if !e.summary.is_empty() => e.summary.clone(),
            _ => run.status.label().to_owned(),
        },
    }
}

/// What an unfinished run is doing, or what it waits for, and until when.
pub fn doing(run: &Run) -> AnyView {
    let until = run.waiting_on.and_then(|waiting| waiting.until);
    let until = until.map(|until| view! { ", next try " {clock(until)} });
    view! { {now(run)} {until} }.into_any()
}

/// What an unfinished run is doing, or what it waits for.
#[must_use]
pub fn now(run: &Run) -> String {
    if let Some(waiting) = run.waiting_on {
        let what = match waiting.what {
            WaitingOn::Slot => "Waits for a free slot",
            WaitingOn::RateLimit => "Waits for the rate limit",
            WaitingOn::Circuit => "Circuit open",
        };
        return what.to_owned();
    }
    match (run.status, run.stage) {
        (RunStatus::Running, Some(stage)) => stage.label().to_owned(),
        (status, _) => status.label().to_owned(),
    }
}

/// `turn 3 of 6`
#[must_use]
pub fn turns_so_far(run: &Run) -> String {
    format!("{} / {}", run.user_turns, run.user_turns_planned)
}

/// One fact of a list of facts.
pub fn fact(name: &'static str, value: impl IntoAny) -> AnyView {
    view! { <div><dt>{name}</dt><dd>{value.into_any()}</dd></div> }.into_any()
}

/// The numbers of a run.
pub fn facts(run: &Run) -> AnyView {
    let agent = format!("/agents/{}", run.agent.id);
    let agent = view! {
        <a href=agent>{run.agent.name.clone()}</a> " rev " {run.agent.revision}
    };
    let scenario = format!("/scenarios/{}", run.scenario.id);
    let scenario = view! {
        <a href=scenario>{run.scenario.name.clone()}</a> " rev " {run.scenario.revision}
    };
    let source = run.source_run_id.map(|id| {
        let link = view! { <a href=format!("/runs/{id}")>"an earlier run"</a> };
        fact("Conversation of", link)
    });
    view! {
        <dl class="facts-list">
            {fact("Score", score(run.score))}
            {fact("Agent", agent)}
            {fact("Scenario", scenario)}
            {(run.repetition > 1).then(|| fact("Repetition", run.repetition.to_string()))}
            {fact("User turns", turns_so_far(run))}
            {run.end_reason.map(|reason| fact("Ended", reason.label()))}
            {run.duration_ms.map(|ms| fact("Took", duration(ms)))}
            {fact("Started", maybe_time(run.started_at))}
            {(!run.status.is_final()).then(|| fact("At the latest", maybe_time(run.deadline_at)))}
            {fact("Attempts", run.attempt.to_string())}
            {(run.recoveries > 0)
                .then(|| fact("Recovered", format!("{} × after a restart", run.recoveries)))}
            {source}
        </dl>
    }
    .into_any()
}

/// Calls, tokens and cost by role.
pub fn usage_table(usage: &Usage) -> AnyView {
    let roles =
        [("Agent", usage.agent), ("Simulated user", usage.simulated_user), ("Judge", usage.judge)];
    let rows = roles.into_iter().map(|(name, role)| {
        view! {
            <tr><th scope="row">{name}</th>
                <td class="num">{role.calls}</td>
                <td class="num">{grouped(role.input_tokens)}</td>
                <td class="num">{grouped(role.output_tokens)}</td>
                <td class="num">{cost(role.cost_usd)}</td></tr>
        }
    });
    view! {
        <section>
            <h2>"Tokens and cost"</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Tokens and cost by role">
            <table class="compact">
                <thead><tr>
                    <th scope="col">"Role"</th><th scope="col" class="num">"Calls"</th>
                    <th scope="col" class="num">"In"</th><th scope="col" class="num">"Out"</th>
                    <th scope="col" class="num">"Cost"</th>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
            </div>
        </section>
    }
    .into_any()
}

/// Runs in a table; `with_agent` where the agent is not clear from the page.
pub fn run_table(runs: &[Run], with_agent: bool) -> AnyView {
    let rows = runs.iter().map(|run| {
        let href = format!("/runs/{}", run.id);
        let name = if with_agent { &run.agent.name } else { &run.scenario.name };
        let took = run.duration_ms.map_or_else(|| "–".to_owned(), duration);
        view! {
            <tr>
                <td>{run_chip(run.status)}</td>
                <td><a href=href data-row="">{name.clone()}</a></td>
                <td class="num" data-label="Score">{score(run.score)}</td>
                <td class="num" data-label="Took">{took}</td>
                <td class="num" data-label="When">{time(run.created_at)}</td>
            </tr>
        }
    });
    let first = if with_agent { "Agent" } else { "Scenario" };
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Runs">
            <table class="list">
                <thead><tr>
                    <th scope="col">"Status"</th><th scope="col">{first}</th>
                    <th scope="col" class="num">"Score"</th><th scope="col" class="num">"Took"</th>
                    <th scope="col" class="num">"When"</th>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

//! Parts of a run that several pages share.

use crate::components::chip::run_chip;
use crate::components::format::{duration, grouped, plural, role_cost, score};
use crate::components::table::table;
use crate::components::time::{clock, maybe_time, time};
use crate::domain::{Evaluation, Run, RunStatus, Timestamp, Usage, WaitReason};
use leptos::prelude::*;

/// The verdict in one sentence.
#[must_use]
pub fn verdict_sentence(run: &Run, evaluation: Option<&Evaluation>) -> String {
    match run.status {
        RunStatus::Error => run.error.as_ref().map_or_else(
            || "No verdict: the run ended with an error.".to_owned(),
            |error| format!("No verdict ({}): {}", error.kind.label(), error.message),
        ),
        RunStatus::Cancelled => "Canceled. The transcript so far is kept.".to_owned(),
        RunStatus::Pending => activity(run),
        RunStatus::Running => activity(run),
        _ => match evaluation {
            Some(e) if !e.summary.is_empty() => e.summary.clone(),
            _ => run.status.label().to_owned(),
        },
    }
}

/// The activity of an unfinished run, with the end of its wait.
pub fn activity_with_time(run: &Run, now: RwSignal<i64>) -> AnyView {
    let until = run.waiting_on.and_then(|waiting| waiting.until);
    let until = until.map(|until| next_try(", next retry ", until, now));
    view! { {activity(run)} {until} }.into_any()
}

/// When a wait ends. `now` is the browser's clock in seconds, and 0 before hydration: a
/// time that has passed is no longer shown as the next one.
pub fn next_try(label: &'static str, until: Timestamp, now: RwSignal<i64>) -> AnyView {
    let is_due = Memo::new(move |_| now.get() * 1000 >= until.0);
    let shown = move || {
        if is_due.get() {
            ", retrying now".into_any()
        } else {
            view! { {label} {clock(until)} }.into_any()
        }
    };
    shown.into_any()
}

/// What an unfinished run does or waits for.
#[must_use]
pub fn activity(run: &Run) -> String {
    if let Some(waiting) = run.waiting_on {
        let what = match waiting.what {
            WaitReason::Slot => "Waiting for a free slot",
            WaitReason::RateLimit => "Waiting for the rate limit",
            WaitReason::Circuit => "Paused: provider failing",
        };
        return what.to_owned();
    }
    match (run.status, run.stage) {
        (RunStatus::Running, Some(stage)) => stage.label().to_owned(),
        (status, _) => status.label().to_owned(),
    }
}

/// `3 / 6`
#[must_use]
pub fn turn_progress(run: &Run) -> String {
    format!("{} / {}", run.user_turns, run.user_turns_planned)
}

pub fn fact(name: &'static str, value: impl IntoAny) -> AnyView {
    view! { <div><dt>{name}</dt><dd>{value.into_any()}</dd></div> }.into_any()
}

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
        fact("Transcript from", link)
    });
    view! {
        <dl class="facts-list">
            {fact("Score", score(run.score))}
            {fact("Agent", agent)}
            {fact("Scenario", scenario)}
            {(run.repetition > 1).then(|| fact("Repeat", run.repetition.to_string()))}
            {fact("User turns", turn_progress(run))}
            {run.end_reason.map(|reason| fact("Ended", reason.label()))}
            {run.duration_ms.map(|ms| fact("Duration", duration(ms)))}
            {fact("Started", maybe_time(run.started_at))}
            {(!run.status.is_final()).then(|| fact("Deadline", maybe_time(run.deadline_at)))}
            {(run.recoveries > 0)
                .then(|| fact("Recovered", format!("{} after a restart", plural(run.recoveries, "time"))))}
            {source}
        </dl>
    }
    .into_any()
}

/// Calls, tokens and cost by role.
pub fn usage_table(usage: &Usage) -> AnyView {
    let roles = [
        ("Agent", usage.agent),
        ("Simulated user", usage.simulated_user),
        ("Judge", usage.judge),
        ("Total", usage.total()),
    ];
    let rows = roles.into_iter().map(|(name, role)| {
        view! {
            <tr><th scope="row">{name}</th>
                <td class="num">{role.calls}</td>
                <td class="num">{grouped(role.input_tokens)}</td>
                <td class="num">{grouped(role.token_parts.cached_input_tokens)}</td>
                <td class="num">{grouped(role.output_tokens)}</td>
                <td class="num">{grouped(role.token_parts.reasoning_tokens)}</td>
                <td class="num">{role_cost(&role)}</td></tr>
        }
        .into_any()
    });
    let columns = [
        ("Role", ""),
        ("Calls", "num"),
        ("Tokens in", "num"),
        ("of them cached", "num"),
        ("Tokens out", "num"),
        ("of them reasoning", "num"),
        ("Cost", "num"),
    ];
    view! {
        <section>
            <h2>"Tokens and cost"</h2>
            {table("Tokens and cost by role", "compact", &columns, rows.collect())}
        </section>
    }
    .into_any()
}

/// A table of runs. `with_agent` shows the agent instead of the scenario.
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
                <td class="num" data-label="Duration">{took}</td>
                <td class="num" data-label="Created">{time(run.created_at)}</td>
            </tr>
        }
        .into_any()
    });
    let first = if with_agent { "Agent" } else { "Scenario" };
    let columns =
        [("Status", ""), (first, ""), ("Score", "num"), ("Duration", "num"), ("Created", "num")];
    table("Runs", "list", &columns, rows.collect())
}

//! Progress panel: bar, counts, time, waits and stream status.

use super::live::LiveSuite;
use super::stream_status::StreamStatus;
use crate::components::chip::{run_status_style, suite_chip};
use crate::components::format::{about, padded, pass_rate, plural, seconds, verdict_counts};
use crate::domain::{RunStatus, Suite, WaitReason, WaitingRuns};
use crate::pages::run::parts::next_try;
use leptos::prelude::*;

pub(super) fn panel(live: LiveSuite) -> AnyView {
    let suite = live.suite;
    let total = move || suite.with(|s| s.progress.total.to_string());
    let done = move || suite.with(|s| s.progress.done.to_string());
    let padded_done = move || suite.with(|s| padded(s.progress.done, s.progress.total));
    view! {
        <section class="panel progress" aria-label="Progress">
            <div class="bar">
                {move || suite_chip(suite.with(|s| s.status), live.cancelling.get())}
                <strong class="num big">{padded_done} " / " {total}</strong>
                <progress max=total value=done aria-label="Completed runs"></progress>
                <span class="num rate">
                    <span class="hint">"pass rate "</span>
                    <strong>{move || suite.with(pass_rate)}</strong>
                </span>
            </div>
            <div class="bar counts">{move || suite.with(counts)}</div>
            // One line, so that a notice that appears or disappears moves nothing below it.
            <div class="bar">
                <p class="hint">{move || sentence(live)}</p>
                {move || live.waiting.with(|all| {
                    all.iter().map(|waiting| wait_notice(waiting, live.now)).collect_view()
                })}
            </div>
            {move || stream_notice(live.stream_status.get())}
            {move || live.problem.get().map(|text| view! {
                <p class="problem" role="alert">{text}</p>
            })}
        </section>
    }
    .into_any()
}

fn counts(suite: &Suite) -> AnyView {
    let mut all = suite.counts;
    let items = RunStatus::ALL.iter().map(|(_, status)| {
        let (tone, icon) = run_status_style(*status);
        let count = *all.count_mut(*status);
        let class = if count == 0 { "count none".to_owned() } else { format!("count {tone}") };
        view! {
            <span class=class>
                <span class="icon" aria-hidden="true">{icon}</span>
                <span class="num">{padded(count, suite.progress.total)}</span> " " {status.label()}
            </span>
        }
    });
    items.collect_view().into_any()
}

/// Counts, elapsed time and estimated remaining time.
fn sentence(live: LiveSuite) -> String {
    let suite = live.suite.get();
    let mut parts = vec![live.errors.with(|kinds| verdict_counts(&suite.counts, kinds))];
    if let Some(started) = suite.started_at {
        let end = suite.finished_at.map(|at| at.0 / 1000);
        // The clock is unset on the server and before hydration.
        let now = Some(live.now.get()).filter(|now| *now > 0);
        if let Some(end) = end.or(now) {
            let taken = u64::try_from(end - started.0 / 1000).unwrap_or_default();
            let verb = if suite.status.is_final() { "took" } else { "running for" };
            parts.push(format!("{verb} {}", seconds(taken)));
        }
    }
    if !suite.status.is_final()
        && let Some(eta) = suite.progress.eta_seconds
    {
        parts.push(format!("{} left", about(eta)));
    }
    parts.join(" · ")
}

/// Why runs wait, how many, and until when.
fn wait_notice(waiting: &WaitingRuns, now: RwSignal<i64>) -> AnyView {
    let (before, after, next) = match waiting.what {
        WaitReason::Slot => ("", " waiting for a free slot", " from "),
        WaitReason::RateLimit => ("Rate limit reached: ", " waiting", ", next call "),
        WaitReason::Circuit => ("Provider failing: ", " paused", ", next retry "),
    };
    let runs = plural(waiting.runs, "run");
    let until = waiting.until.map(|until| next_try(next, until, now));
    let why = (waiting.what == WaitReason::Circuit).then(|| {
        view! { " · " <a href="/settings/connections">"Details and retry"</a> }
    });
    view! {
        <p class="wait-notice">{before} {runs} {after} {until} {why}</p>
    }
    .into_any()
}

fn stream_notice(status: StreamStatus) -> AnyView {
    let (class, text) = match status {
        StreamStatus::Connected => return ().into_any(),
        StreamStatus::Reconnecting => (
            "stream-notice lost",
            "Connection lost, reconnecting. The suite continues on the server.",
        ),
        StreamStatus::Reconnected => ("stream-notice", "Reconnected."),
        StreamStatus::Polling => (
            "stream-notice",
            "Live updates are unavailable. This page refreshes every few seconds.",
        ),
    };
    view! { <p class=class>{text}</p> }.into_any()
}

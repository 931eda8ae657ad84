//! How far: bar, counts, time, and how the page hears of news.

use super::hearing::Hearing;
use super::live::Live;
use crate::components::chip::{run_look, suite_chip};
use crate::components::time::clock;
use crate::components::words::{about, percent, plural, seconds, verdict_counts};
use crate::domain::{HeldRuns, RunStatus, Suite, WaitingOn};
use leptos::prelude::*;

/// The panel at the top of a suite.
pub(super) fn panel(live: Live) -> AnyView {
    let suite = live.suite;
    let total = move || suite.with(|s| s.progress.total.to_string());
    let done = move || suite.with(|s| s.progress.done.to_string());
    view! {
        <section class="panel progress" aria-label="Progress">
            <div class="bar">
                {move || suite_chip(suite.with(|s| s.status), live.cancelling.get())}
                <strong class="num big">{done} " / " {total}</strong>
                <progress max=total value=done aria-label="Runs done"></progress>
                <span class="num rate">
                    <span class="hint">"pass rate "</span>
                    <strong>{move || percent(suite.with(|s| s.pass_rate))}</strong>
                </span>
            </div>
            <div class="bar counts">{move || suite.with(counts)}</div>
            <p class="hint">{move || sentence(live)}</p>
            {move || live.waiting.with(|all| all.iter().map(held).collect_view())}
            {move || hearing(live.hearing.get())}
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
        let (tone, icon) = run_look(*status);
        let count = *all.of(*status);
        let class = if count == 0 { "count none".to_owned() } else { format!("count {tone}") };
        view! {
            <span class=class>
                <span class="icon" aria-hidden="true">{icon}</span>
                <span class="num">{count}</span> " " {status.label()}
            </span>
        }
    });
    items.collect_view().into_any()
}

/// What the numbers mean, how long it took, how long it will.
fn sentence(live: Live) -> String {
    let suite = live.suite.get();
    let mut parts = vec![live.errors.with(|kinds| verdict_counts(&suite.counts, kinds))];
    if let Some(started) = suite.started_at {
        let end = suite.finished_at.map(|at| at.0 / 1000);
        // On the server, and until the page is alive, there is no clock.
        let now = Some(live.now.get()).filter(|now| *now > 0);
        if let Some(end) = end.or(now) {
            let taken = u64::try_from(end - started.0 / 1000).unwrap_or_default();
            let word = if suite.status.is_final() { "took" } else { "running for" };
            parts.push(format!("{word} {}", seconds(taken)));
        }
    }
    if !suite.status.is_final()
        && let Some(eta) = suite.progress.eta_seconds
    {
        parts.push(format!("{} left", about(eta)));
    }
    parts.join(" · ")
}

/// What is waited for, by how many runs, until when.
fn held(held: &HeldRuns) -> AnyView {
    let (what, next) = match held.what {
        WaitingOn::Slot => ("a free slot", " from "),
        WaitingOn::RateLimit => ("the rate limit", ", next call at "),
        WaitingOn::Circuit => ("the circuit, which is open", ", next try at "),
    };
    let runs = plural(held.runs, "run");
    let verb = if held.runs == 1 { "waits" } else { "wait" };
    let until = held.until.map(|until| view! { {next} {clock(until)} });
    let why = (held.what == WaitingOn::Circuit).then(|| {
        view! { " · " <a href="/settings/connections">"why, and try now"</a> }
    });
    view! {
        <p class="waits">{runs} " " {verb} " for " {what} {until} {why}</p>
    }
    .into_any()
}

fn hearing(hearing: Hearing) -> AnyView {
    let (class, text) = match hearing {
        Hearing::Fine => return ().into_any(),
        Hearing::Lost => {
            ("wire lost", "Connection lost, reconnecting. The suite goes on on the server.")
        }
        Hearing::Back => ("wire", "Back, caught up."),
        Hearing::Polling => ("wire", "No live stream here: this page asks every few seconds."),
    };
    view! { <p class=class>{text}</p> }.into_any()
}

//! Table of the runs of a suite: in order of creation while the suite runs,
//! failures first afterwards.

use super::live::{LiveSuite, PANEL, Row};
use crate::components::browser;
use crate::components::chip::run_chip;
use crate::components::format::{duration, run_name, score};
use crate::domain::{EndReason, Run, RunStatus};
use crate::pages::run::parts::{activity_with_time, turn_progress};
use leptos::prelude::*;

/// Sort key of a finished suite.
fn rank(status: RunStatus) -> u8 {
    match status {
        RunStatus::Failed => 0,
        RunStatus::Error => 1,
        RunStatus::Inconclusive => 2,
        RunStatus::Passed => 4,
        RunStatus::Cancelled => 5,
        RunStatus::Running | RunStatus::Pending => 3,
    }
}

pub(super) fn table(live: LiveSuite, is_final: Memo<bool>) -> AnyView {
    let rows = move || {
        let mut rows = live.rows.get();
        if is_final.get() {
            rows.sort_by_key(|row| rank(row.run.with_untracked(|run| run.status)));
        }
        rows
    };
    let many = live.has_repeats();
    view! {
        <section>
            <h2 id="runs-head">
                {move || if is_final.get() { "Runs, failures first" } else { "Runs" }}
            </h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Runs">
                <table class="runs list" class:in-progress=move || !is_final.get()>
                    <thead><tr>
                        <th scope="col">"Status"</th><th scope="col">"Scenario"</th>
                        <th scope="col" class="num">"Turns"</th><th scope="col" class="num">"Score"</th>
                        <th scope="col" class="num">"Duration"</th><td></td>
                    </tr></thead>
                    <tbody>
                        <For each=rows key=|row| (row.id, row.run)
                            children=move |row| table_row(live, row, many)/>
                    </tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// Line below the name of a run: its activity, or why it ended if the status does
/// not say so.
fn detail(run: &Run, now: RwSignal<i64>) -> AnyView {
    if run.status.is_final() {
        return end_detail(run).into_any();
    }
    match run.status {
        // All queued runs wait for a slot, so that is not shown.
        RunStatus::Pending
            if run.waiting_on.is_none_or(|waiting| !waiting.is_blocking(run.status)) =>
        {
            ().into_any()
        }
        _ => activity_with_time(run, now),
    }
}

fn end_detail(run: &Run) -> String {
    match (&run.error, run.end_reason) {
        (Some(error), _) => format!("{}: {}", error.kind.label(), error.message),
        (None, Some(EndReason::ScriptFinished) | None) => String::new(),
        (None, Some(reason)) => reason.label().to_owned(),
    }
}

fn table_row(live: LiveSuite, row: Row, many: bool) -> AnyView {
    let (id, run) = (row.id, row.run);
    let label = run.with_untracked(|run| run_name(run, many));
    let status = Memo::new(move |_| run.with(|run| run.status));
    let followed = move || live.followed.get() == Some(id);
    let failure =
        move || matches!(status.get(), RunStatus::Failed | RunStatus::Error).then_some("");
    let name = label.clone();
    // With scripts, the arrow keys reach the other controls of a row.
    let tab_index = move || live.is_interactive.get().then_some("-1");
    view! {
        <tr class:followed=followed on:keydown=|event| browser::move_within_row(&event)>
            <td>{move || run_chip(status.get())}</td>
            <td><a id=format!("run-{id}") href=format!("/runs/{id}") data-row="" data-failure=failure>{label}</a>
                <div class="hint run-detail">{move || run.with(|run| detail(run, live.now))}</div></td>
            <td class="num" data-label="Turns">{move || run.with(turn_progress)}</td>
            <td class="num" data-label="Score">{move || run.with(|run| score(run.score))}</td>
            <td class="num" data-label="Duration">{move || run.with(|run| run.duration_ms.map_or_else(|| "–".to_owned(), duration))}</td>
            <td class="end">
                <a class="button small" href=live.url_of(id) data-noscroll="" tabindex=tab_index
                    aria-label=format!("Show transcript of {name}")
                    aria-current=move || followed().then_some("true")
                    on:click=move |_| browser::after_ms(0, || browser::scroll_into_view(PANEL))>
                    {move || if followed() { "Shown" } else { "Show" }}
                </a>
                {move || (!status.get().is_final()).then(|| cancel(live, row, &name))}
            </td>
        </tr>
    }
    .into_any()
}

fn cancel(live: LiveSuite, row: Row, name: &str) -> AnyView {
    let cancelling = RwSignal::new(false);
    let link = format!("run-{}", row.id);
    view! {
        <form method="post" action=format!("/forms/runs/{}/cancel", row.id) class="inline"
            on:submit=move |event| {
                event.prevent_default();
                cancelling.set(true);
                // The button disappears when the run ends, so the focus moves.
                browser::focus(&link);
                live.cancel_run(row.id, cancelling);
            }>
            <button type="submit" class="small quiet" aria-label=format!("Cancel {name}")
                tabindex=move || live.is_interactive.get().then_some("-1")
                disabled=move || cancelling.get() || live.cancelling.get()>
                {move || if cancelling.get() { "Canceling…" } else { "Cancel" }}
            </button>
        </form>
    }
    .into_any()
}

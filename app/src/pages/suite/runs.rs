//! The runs of a suite in a table: in their order while it runs, failures
//! first afterwards.

use super::live::{Live, PANEL, Row};
use crate::components::browser;
use crate::components::chip::run_chip;
use crate::components::words::{duration, run_name, score};
use crate::domain::{EndReason, Run, RunStatus};
use crate::pages::run::parts::{doing, turns_so_far};
use leptos::prelude::*;

/// What is looked at first once all is done.
fn weight(status: RunStatus) -> u8 {
    match status {
        RunStatus::Failed => 0,
        RunStatus::Error => 1,
        RunStatus::Inconclusive => 2,
        RunStatus::Passed => 4,
        RunStatus::Cancelled => 5,
        RunStatus::Running | RunStatus::Pending => 3,
    }
}

/// The table.
pub(super) fn table(live: Live, is_final: Memo<bool>) -> AnyView {
    let rows = move || {
        let mut rows = live.rows.get();
        if is_final.get() {
            rows.sort_by_key(|row| weight(row.run.with_untracked(|run| run.status)));
        }
        rows
    };
    let many = live.many();
    view! {
        <section>
            <h2 id="runs-head">
                {move || if is_final.get() { "Runs, failures first" } else { "Runs" }}
            </h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Table of runs">
                <table class="runs list" class:going=move || !is_final.get()>
                    <thead><tr>
                        <th scope="col">"Status"</th><th scope="col">"Scenario"</th>
                        <th scope="col" class="num">"Turns"</th><th scope="col" class="num">"Score"</th>
                        <th scope="col" class="num">"Took"</th><td></td>
                    </tr></thead>
                    <tbody>
                        <For each=rows key=|row| (row.id, row.run)
                            children=move |row| one(live, row, many)/>
                    </tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// Below a run's name: what it does, or how it ended where that says more than its status.
fn what(run: &Run) -> AnyView {
    if run.status.is_final() {
        return how(run).into_any();
    }
    match run.status {
        // That it waits for a slot is what all of a queue do.
        RunStatus::Pending
            if run.waiting_on.is_none_or(|waiting| !waiting.holds_up(run.status)) =>
        {
            ().into_any()
        }
        _ => doing(run),
    }
}

fn how(run: &Run) -> String {
    match (&run.error, run.end_reason) {
        (Some(error), _) => format!("{}: {}", error.kind.label(), error.message),
        (None, Some(EndReason::ScriptFinished) | None) => String::new(),
        (None, Some(reason)) => reason.label().to_owned(),
    }
}

fn one(live: Live, row: Row, many: bool) -> AnyView {
    let (id, run) = (row.id, row.run);
    let label = run.with_untracked(|run| run_name(run, many));
    let status = Memo::new(move |_| run.with(|run| run.status));
    let followed = move || live.followed.get() == Some(id);
    let failure =
        move || matches!(status.get(), RunStatus::Failed | RunStatus::Error).then_some("");
    let spoken = label.clone();
    view! {
        <tr class:followed=followed>
            <td>{move || run_chip(status.get())}</td>
            <td><a id=format!("run-{id}") href=format!("/runs/{id}") data-row="" data-failure=failure>{label}</a>
                <div class="hint what">{move || run.with(what)}</div></td>
            <td class="num" data-label="Turns">{move || run.with(turns_so_far)}</td>
            <td class="num" data-label="Score">{move || run.with(|run| score(run.score))}</td>
            <td class="num" data-label="Took">{move || run.with(|run| run.duration_ms.map_or_else(|| "–".to_owned(), duration))}</td>
            <td class="end">
                <a class="button small" href=live.address_of(id) data-noscroll=""
                    aria-label=format!("Show what is said in {spoken}")
                    aria-current=move || followed().then_some("true")
                    on:click=move |_| browser::later(0, || browser::reveal(PANEL))>
                    {move || if followed() { "Shown" } else { "Show" }}
                </a>
                {move || (!status.get().is_final()).then(|| cancel(live, row, &spoken))}
            </td>
        </tr>
    }
    .into_any()
}

fn cancel(live: Live, row: Row, name: &str) -> AnyView {
    let asked = RwSignal::new(false);
    let link = format!("run-{}", row.id);
    view! {
        <form method="post" action=format!("/forms/runs/{}/cancel", row.id) class="inline"
            on:submit=move |event| {
                event.prevent_default();
                asked.set(true);
                // The button goes with the run's end; whoever pressed it stays here.
                browser::focus(&link);
                live.cancel_run(row.id, asked);
            }>
            <button type="submit" class="small quiet" aria-label=format!("Cancel {name}")
                disabled=move || asked.get() || live.cancelling.get()>
                {move || if asked.get() { "Cancelling…" } else { "Cancel" }}
            </button>
        </form>
    }
    .into_any()
}

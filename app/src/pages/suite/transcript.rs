//! What is said in the run that is followed, as it is said.

use super::live::{LOG, Live, PANEL};
use crate::components::browser;
use crate::components::chip::run_chip;
use crate::components::turns::turn;
use crate::components::words::{plural, run_name};
use crate::domain::RunStatus;
use crate::pages::run::parts::doing;
use leptos::prelude::*;

/// The panel beside the runs.
pub(super) fn panel(live: Live) -> AnyView {
    let row = move || {
        let id = live.followed.get()?;
        live.rows.with(|rows| rows.iter().find(|row| row.id == id).copied())
    };
    let head = move || {
        let Some(row) = row() else {
            return view! { <h2 id="said-head">"Transcript"</h2> }.into_any();
        };
        let name = row.run.with_untracked(|run| run_name(run, live.many()));
        let href = format!("/runs/{}", row.id);
        view! {
            <h2 id="said-head">{name}</h2>
            {move || run_chip(row.run.with(|run| run.status))}
            <a href=href>"Open"</a>
            {mode(live)}
        }
        .into_any()
    };
    let quiet = move || {
        let known = row().map(|row| row.run.with(|run| (run.status, run.user_turns)));
        live.turns.with(Vec::is_empty).then_some(match known {
            Some((RunStatus::Pending, _)) => "It has not begun.",
            Some((RunStatus::Running, 0)) => "It is about to begin.",
            Some((_, 0)) => "Nothing was said.",
            Some(_) => "What was said is on its way…",
            None => "Choose a run to see what is said in it.",
        })
    };
    let typing = move || {
        let running = row().is_some_and(|row| row.run.with(|run| run.status == RunStatus::Running));
        running.then(|| {
            view! {
                <p class="typing hint">
                    {move || row().map(|row| row.run.with(doing))} "…"
                </p>
            }
        })
    };
    let down = move |_| {
        live.unread.set(0);
        browser::scroll_to_end(LOG);
        // The button goes; the keyboard stays where the turns are.
        browser::focus(LOG);
    };
    view! {
        <section id=PANEL class="transcript following" aria-labelledby="said-head">
            <header class="bar">{head}</header>
            <div class="log" id=LOG role="log" aria-live="off" tabindex="0"
                aria-label="Transcript"
                on:scroll=move |_| {
                    if live.unread.get_untracked() > 0 && browser::is_at_end(LOG) {
                        live.unread.set(0);
                    }
                }>
                <p class="hint">{quiet}</p>
                <For each=move || live.turns.get()
                    key=move |turn| (live.followed.get_untracked(), turn.index)
                    children=|said| turn(&said, ().into_any())/>
                {typing}
            </div>
            {move || (live.unread.get() > 0).then(|| view! {
                <button type="button" class="unread" on:click=down>
                    {format!("{} ↓", plural(live.unread.get(), "new turn"))}
                </button>
            })}
        </section>
    }
    .into_any()
}

/// Whether the page moves on to the next run by itself.
fn mode(live: Live) -> AnyView {
    let shown = move || {
        if live.suite.with(|suite| suite.status.is_final()) {
            return ().into_any();
        }
        if live.pinned.get() {
            let href = format!("/suites/{}", live.id);
            view! { <a href=href data-noscroll="">"Follow whatever runs"</a> }.into_any()
        } else {
            view! { <span class="hint">"follows what runs"</span> }.into_any()
        }
    };
    shown.into_any()
}

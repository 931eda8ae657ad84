//! Live transcript of the followed run.

use super::live::{LOG, LiveSuite, PANEL};
use crate::components::browser;
use crate::components::chip::run_chip;
use crate::components::format::{plural, run_name};
use crate::components::turns::turn;
use crate::domain::RunStatus;
use crate::pages::run::parts::activity_with_time;
use leptos::prelude::*;

pub(super) fn panel(live: LiveSuite) -> AnyView {
    let row = move || {
        let id = live.followed.get()?;
        live.rows.with(|rows| rows.iter().find(|row| row.id == id).copied())
    };
    let head = move || {
        let Some(row) = row() else {
            return view! { <h2 id="transcript-panel-head">"Transcript"</h2> }.into_any();
        };
        let name = row.run.with_untracked(|run| run_name(run, live.has_repeats()));
        let href = format!("/runs/{}", row.id);
        view! {
            <h2 id="transcript-panel-head">{name}</h2>
            {move || run_chip(row.run.with(|run| run.status))}
            <a href=href>"Open"</a>
            {follow_mode(live)}
        }
        .into_any()
    };
    let empty_text = move || {
        let known = row().map(|row| row.run.with(|run| (run.status, run.user_turns)));
        live.turns.with(Vec::is_empty).then_some(match known {
            Some((RunStatus::Pending, _)) => "This run is queued.",
            Some((RunStatus::Running, 0)) => "The conversation is about to start.",
            Some((_, 0)) => "No messages.",
            Some(_) => "Loading transcript…",
            None => "Choose a run to see its transcript.",
        })
    };
    let activity = move || {
        let running = row().is_some_and(|row| row.run.with(|run| run.status == RunStatus::Running));
        running.then(|| {
            view! {
                <p class="activity hint">
                    {move || row().map(|row| row.run.with(|run| activity_with_time(run, live.now)))} "…"
                </p>
            }
        })
    };
    let scroll_down = move |_| {
        live.unread.set(0);
        browser::scroll_to_end(LOG);
        // The button disappears, so the focus moves to the transcript.
        browser::focus(LOG);
    };
    view! {
        <section id=PANEL class="transcript following" aria-labelledby="transcript-panel-head">
            <header class="bar">{head}</header>
            <div class="log" id=LOG role="log" aria-live="off" tabindex="0"
                aria-label="Transcript"
                on:scroll=move |_| {
                    if live.unread.get_untracked() > 0 && browser::is_at_end(LOG) {
                        live.unread.set(0);
                    }
                }>
                <p class="hint">{empty_text}</p>
                <For each=move || live.turns.get()
                    key=move |turn| (live.followed.get_untracked(), turn.index)
                    children=|said| turn(&said, ().into_any())/>
                {activity}
            </div>
            {move || (live.unread.get() > 0).then(|| view! {
                <button type="button" class="unread" on:click=scroll_down>
                    {format!("{} ↓", plural(live.unread.get(), "new turn"))}
                </button>
            })}
        </section>
    }
    .into_any()
}

/// Shows whether the page follows the next run automatically.
fn follow_mode(live: LiveSuite) -> AnyView {
    let shown = move || {
        if live.suite.with(|suite| suite.status.is_final()) {
            return ().into_any();
        }
        if live.pinned.get() {
            let href = format!("/suites/{}", live.id);
            view! { <a href=href data-noscroll="">"Auto-follow"</a> }.into_any()
        } else {
            view! { <span class="hint">"Auto-following"</span> }.into_any()
        }
    };
    shown.into_any()
}

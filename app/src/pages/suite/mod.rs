//! A suite: live while it runs, the report afterwards; the same address.

pub mod hearing;
pub mod live;
pub mod live_state;
mod progress;
mod report;
mod runs;
#[cfg(feature = "hydrate")]
mod stream;
mod transcript;

use crate::components::browser;
use crate::components::form::{action_button, refusal};
use crate::components::load::{ask, loaded, notice};
use crate::components::time::time;
use crate::components::title::heading;
use crate::domain::Suite;
use crate::pages::run::parts::refresh;
use crate::server_fns::{SuiteQuery};
use crate::server_fns::suites::SuiteData;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use live::Live;

/// How long the buttons that start again keep away; milliseconds.
const SETTLES_AFTER: i32 = 2000;

/// The page of a suite.
#[component]
pub fn SuitePage() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| params.with(|params| params.get("id")).unwrap_or_default());
    let run = Memo::new(move |_| query.with(|query| query.get("run")));
    // Another followed run is no other page: only the id loads it anew.
    let data = ask(move || SuiteQuery { id: id.get(), run: run.get_untracked() });
    view! { {notice()} {refusal()} {loaded(data, move |view| show(view, run))} }
}

fn show(view: SuiteData, run: Memo<Option<String>>) -> AnyView {
    let key = view.key.clone();
    let live = Live::new(view, run.get_untracked().is_some());
    Effect::new(move |before: Option<()>| {
        let asked = run.get();
        if before.is_none() {
            return;
        }
        live.pinned.set(asked.is_some());
        let run = match asked {
            Some(run) => live.known(&run),
            None => live.default_run(),
        };
        if let Some(run) = run {
            live.follow(run);
        }
    });
    #[cfg(feature = "hydrate")]
    Effect::new(move |before: Option<()>| {
        if before.is_none() {
            stream::listen(live);
        }
    });
    let suite = live.suite.get_untracked();
    let title = format!("{} · {}", suite.agent.name, runs_of(&suite));
    let is_final = Memo::new(move |_| live.suite.with(|suite| suite.status.is_final()));
    let over = settled(is_final);
    view! {
        {move || (!is_final.get()).then(refresh)}
        <nav class="crumbs" aria-label="Breadcrumb"><a href="/suites">"Suites"</a></nav>
        <div class="page-head">
            {heading(title)}
            {move || if over.get() { rerun(live, &key) } else { cancel(live, is_final) }}
        </div>
        {about(&suite)}
        <p class="sr-only" role="status" aria-live="polite">{live.status}</p>
        {progress::panel(live)}
        <div class="split live">
            <div>
                {runs::table(live, is_final)}
                {move || is_final.get().then(|| report::below(live))}
            </div>
            {transcript::panel(live)}
        </div>
    }
    .into_any()
}

fn runs_of(suite: &Suite) -> String {
    crate::components::words::plural(suite.total, "run")
}

fn about(suite: &Suite) -> AnyView {
    let agent = format!("/agents/{}", suite.agent.id);
    let parent = suite.parent_id.map(|parent| {
        view! { " · reruns " <a href=format!("/suites/{parent}")>"an earlier suite"</a> }
    });
    let note = (!suite.note.is_empty()).then(|| view! { <p class="note">{suite.note.clone()}</p> });
    view! {
        {note}
        <p class="hint">
            <a href=agent>{suite.agent.name.clone()}</a> " rev " {suite.agent.revision} " · "
            {suite.concurrency} " at once · " {suite.repeats} " × each · asked for "
            {time(suite.created_at)} {parent}
        </p>
    }
    .into_any()
}

/// Whether it has been over for a moment. The buttons that start it again come
/// where the one was that stops it, and somebody may just be pressing that.
fn settled(is_final: Memo<bool>) -> RwSignal<bool> {
    let over = RwSignal::new(is_final.get_untracked());
    Effect::new(move || {
        if is_final.get() && !over.get_untracked() {
            browser::later(SETTLES_AFTER, move || {
                let _ = over.try_set(true);
            });
        }
    });
    over
}

/// Stops the suite: a form, which with WASM leaves the page where it is.
fn cancel(live: Live, is_final: Memo<bool>) -> AnyView {
    let label = move || {
        if is_final.get() {
            live.suite.with(|suite| suite.status.label())
        } else if live.cancelling.get() {
            "Cancelling…"
        } else {
            "Cancel suite"
        }
    };
    view! {
        <form method="post" action=format!("/forms/suites/{}/cancel", live.id) class="inline"
            on:submit=move |event| {
                event.prevent_default();
                // The button goes; the keyboard stays on the page.
                browser::focus("page-title");
                live.cancel();
            }>
            <button type="submit" disabled=move || live.cancelling.get() || is_final.get()>
                {label}
            </button>
        </form>
    }
    .into_any()
}

/// Runs part of it again. Each button has a key of its own, so that one used
/// after another is not taken for a mistake.
fn rerun(live: Live, key: &str) -> AnyView {
    let counts = live.suite.with_untracked(|suite| suite.counts);
    let action = format!("/forms/suites/{}/rerun", live.id);
    let button = |which: &'static str, label: &'static str| {
        let hidden =
            vec![("which", which.to_owned()), ("idempotency_key", format!("{key}-{which}"))];
        action_button(action.clone(), label, "", hidden)
    };
    view! {
        <div class="actions">
            {(counts.error > 0).then(|| button("errors", "Run errors again"))}
            {(counts.failed > 0).then(|| button("failed", "Run failed again"))}
            {button("all", "Run all again")}
        </div>
    }
    .into_any()
}

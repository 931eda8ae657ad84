//! Page of a suite: live view while it runs and report afterwards, at one URL.

pub mod live;
pub mod live_state;
mod progress;
mod report;
mod runs;
#[cfg(feature = "hydrate")]
mod stream;
pub mod stream_status;
mod transcript;

use crate::components::browser;
use crate::components::form::{action_button, rejection};
use crate::components::format::{plural, rerun as rerun_of_runs};
use crate::components::page_data::{auto_refresh, load, notice, when_loaded};
use crate::components::time::time;
use crate::components::title::heading;
use crate::domain::{BudgetAction, NanoUsd, NewestRevisions, Suite};
use crate::server_fns::SuiteQuery;
use crate::server_fns::suites::SuiteData;
use crate::services::RerunScope;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use live::LiveSuite;

/// Delay before the re-run buttons appear, in milliseconds.
const RERUN_DELAY: i32 = 2000;

#[component]
pub fn SuitePage() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| params.with(|params| params.get("id")).unwrap_or_default());
    let run = Memo::new(move |_| query.with(|query| query.get("run")));
    // Following another run must not reload the page, so only the ID is tracked.
    let data = load(move || SuiteQuery { id: id.get(), run: run.get_untracked() });
    view! { {notice()} {rejection()} {when_loaded(data, move |data| show(data, run))} }
}

fn show(data: SuiteData, run: Memo<Option<String>>) -> AnyView {
    let (key, newest) = (data.key.clone(), data.newest.clone());
    let live = LiveSuite::new(data, run.get_untracked().is_some());
    Effect::new(move |before: Option<()>| {
        let requested = run.get();
        if before.is_none() {
            return;
        }
        live.pinned.set(requested.is_some());
        let run = match requested {
            Some(run) => live.find_run(&run),
            None => live.default_run(),
        };
        if let Some(run) = run {
            live.follow(run);
        }
    });
    #[cfg(feature = "hydrate")]
    Effect::new(move |before: Option<()>| {
        if before.is_none() {
            stream::connect(live);
        }
    });
    Effect::new(move || live.is_interactive.set(true));
    let suite = live.suite.get_untracked();
    let title = format!("{} · {}", suite.agent.name, plural(suite.total, "run"));
    let is_final = Memo::new(move |_| live.suite.with(|suite| suite.status.is_final()));
    let show_rerun = delayed(is_final);
    view! {
        {move || (!is_final.get()).then(auto_refresh)}
        <nav class="crumbs" aria-label="Breadcrumb"><a href="/suites">"Suites"</a></nav>
        <div class="page-head has-actions">
            {heading(title)}
            {move || if show_rerun.get() { rerun(live, &key, &newest) } else { cancel(live, is_final) }}
        </div>
        {about(&suite)}
        <p class="sr-only" role="status" aria-live="polite">{live.announcement}</p>
        {progress::panel(live)}
        <div class="split live">
            <div>
                {runs::table(live, is_final)}
                {move || is_final.get().then(|| report::below(live))}
            </div>
            {transcript::panel(live)}
        </div>
        {downloads(&suite)}
    }
    .into_any()
}

/// Links to the reports, which also work while the suite runs. `external` keeps the router
/// from taking them for pages.
fn downloads(suite: &Suite) -> AnyView {
    let formats = [
        ("html", "HTML"),
        ("xml", "JUnit XML"),
        ("csv", "CSV"),
        ("json", "JSON"),
        ("md", "Markdown"),
    ];
    let links = formats.into_iter().map(|(extension, label)| {
        let href = format!("/api/v1/suites/{}/report.{extension}", suite.id);
        view! { " " <a href=href rel="external">{label}</a> }
    });
    view! { <p class="hint">"Download a report:" {links.collect_view()}</p> }.into_any()
}

fn about(suite: &Suite) -> AnyView {
    let agent = format!("/agents/{}", suite.agent.id);
    let parent = suite.parent_id.zip(rerun_of_runs(suite)).map(|(parent, rerun)| {
        view! { " · " {rerun} " of " <a href=format!("/suites/{parent}")>"an earlier suite"</a> }
    });
    let repeats =
        (suite.repeats > 1).then(|| format!(" · {} runs of each scenario", suite.repeats));
    let profile = suite.profile.as_ref().map(|profile| {
        let href = format!("/settings/profiles/{}", profile.id);
        view! { " · test profile " <a href=href>{profile.name.clone()}</a> " rev " {profile.revision} }
    });
    let note = (!suite.note.is_empty()).then(|| view! { <p class="note">{suite.note.clone()}</p> });
    view! {
        {note}
        <p class="hint">
            <a href=agent>{suite.agent.name.clone()}</a> " rev " {suite.agent.revision} " · "
            "concurrency " {suite.concurrency} {repeats} {budget(suite)} " · created "
            {time(suite.created_at)} {profile} {parent}
        </p>
    }
    .into_any()
}

/// What the suite may spend.
fn budget(suite: &Suite) -> Option<String> {
    let limit = suite.budget_usd?;
    let action = match suite.budget_action {
        BudgetAction::FinishCalls => "",
        BudgetAction::StopCalls => ", stops calls in flight",
    };
    Some(format!(" · budget ${}{action}", limit.decimal()))
}

/// Becomes true [`RERUN_DELAY`] after `is_final`. The re-run buttons take the place of
/// the cancel button, so a late click on Cancel must not start a re-run.
fn delayed(is_final: Memo<bool>) -> RwSignal<bool> {
    let elapsed = RwSignal::new(is_final.get_untracked());
    Effect::new(move || {
        if is_final.get() && !elapsed.get_untracked() {
            browser::after_ms(RERUN_DELAY, move || {
                let _ = elapsed.try_set(true);
            });
        }
    });
    elapsed
}

/// The cancel form, while there is something to cancel. With WASM it cancels without
/// leaving the page.
fn cancel(live: LiveSuite, is_final: Memo<bool>) -> AnyView {
    let shown = move || if is_final.get() { ().into_any() } else { cancel_form(live) };
    shown.into_any()
}

fn cancel_form(live: LiveSuite) -> AnyView {
    let label = move || if live.cancelling.get() { "Canceling…" } else { "Cancel suite" };
    view! {
        <form method="post" action=format!("/forms/suites/{}/cancel", live.id) class="inline"
            on:submit=move |event| {
                event.prevent_default();
                // The button disappears, so the focus moves to the heading.
                browser::focus("page-title");
                live.cancel();
            }>
            <button type="submit" disabled=live.cancelling>
                {label}
            </button>
        </form>
    }
    .into_any()
}

/// Re-runs the errors of a suite with a budget, of which the new suite has spent nothing.
fn rerun_with_budget(action: String, key: String, budget: NanoUsd) -> AnyView {
    view! {
        <form method="post" action=action class="inline">
            <input type="hidden" name="which" value="errors"/>
            <input type="hidden" name="idempotency_key" value=key/>
            <label>"New budget in US dollars "
                <input type="text" inputmode="decimal" name="budget_usd" class="number"
                    autocomplete="off" value=budget.decimal()/>
            </label>
            <button type="submit">"Re-run errors"</button>
        </form>
    }
    .into_any()
}

/// The re-run buttons. Each has its own idempotency key, so that using one after
/// another is not a conflict.
fn rerun(live: LiveSuite, key: &str, newest: &NewestRevisions) -> AnyView {
    let is_useful = |which| live.state.with_value(|state| newest.allow_rerun(which, &state.runs));
    let action = format!("/forms/suites/{}/rerun", live.id);
    let budget = live.suite.with_untracked(|suite| suite.budget_usd);
    let button = |which: &'static str, label: &'static str| {
        if let Some(budget) = budget.filter(|_| which == "errors") {
            return rerun_with_budget(action.clone(), format!("{key}-{which}"), budget);
        }
        let hidden =
            vec![("which", which.to_owned()), ("idempotency_key", format!("{key}-{which}"))];
        action_button(action.clone(), label, "", hidden)
    };
    let choices = [
        (RerunScope::Errors, "errors", "Re-run errors"),
        (RerunScope::Failed, "failed", "Re-run failed"),
        (RerunScope::All, "all", "Re-run all"),
    ];
    let buttons = choices.into_iter().filter(|(scope, ..)| is_useful(*scope));
    let buttons: Vec<_> = buttons.map(|(_, which, label)| button(which, label)).collect();
    if buttons.is_empty() {
        let reason = match newest.agent {
            None => "The agent was deleted, so nothing can be run again.",
            Some(_) => "The scenarios were deleted, so nothing can be run again.",
        };
        return view! { <p class="hint">{reason}</p> }.into_any();
    }
    view! { <div class="actions">{buttons}</div> }.into_any()
}

//! Page of a run: verdict, evidence and transcript.

pub mod evaluation;
pub mod parts;

use crate::components::browser;
use crate::components::chip::run_chip;
use crate::components::form::{action_button, rejection};
use crate::components::page_data::{
    auto_refresh, load, notice, poll_while, route_param, when_loaded,
};
use crate::components::title::heading;
use crate::components::turns::turn;
use crate::domain::{ErrorKind, Evaluation, EvaluationStatus, Run, Turn};
use crate::server_fns::RunQuery;
use crate::server_fns::runs::RunData;
use leptos::prelude::*;

#[component]
pub fn RunPage() -> impl IntoView {
    let id = route_param("id");
    let data = load(move || RunQuery { id: id.get().unwrap_or_default() });
    poll_while(data, 2000, |data| is_unfinished(&data.run));
    Effect::new(move || {
        if data.is_loaded() {
            browser::after_ms(0, browser::scroll_to_hash);
        }
    });
    view! { {notice()} {rejection()} {when_loaded(data, show)} }
}

fn evaluations(run: &Run) -> &[Evaluation] {
    run.evaluations.as_deref().unwrap_or_default()
}

fn is_being_judged(run: &Run) -> bool {
    let unfinished =
        |e: &Evaluation| matches!(e.status, EvaluationStatus::Pending | EvaluationStatus::Running);
    evaluations(run).iter().any(unfinished)
}

fn is_unfinished(run: &Run) -> bool {
    !run.status.is_final() || is_being_judged(run)
}

fn show(data: RunData) -> AnyView {
    let RunData { run, key } = data;
    let all = evaluations(&run);
    let deciding = all.iter().find(|e| e.is_first).or_else(|| all.last());
    let turns = run.transcript.clone().unwrap_or_default();
    let title = format!("{} × {}", run.scenario.name, run.agent.name);
    let suite = format!("/suites/{}", run.suite_id);
    view! {
        {is_unfinished(&run).then(auto_refresh)}
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href="/suites">"Suites"</a> " / " <a href=suite>"Suite"</a>
        </nav>
        <div class="page-head">{heading(title)} {buttons(&run, key)}</div>
        <div class="verdict">
            {run_chip(run.status)}
            <p class="lead">{parts::verdict_sentence(&run, deciding)} {connections_link(&run)}</p>
        </div>
        {parts::facts(&run)}
        <div class="split">
            <div class="judgment">
                {deciding.map(|e| evaluation::items(e, &turns))}
                {deciding.map(evaluation::details)}
                {other_evaluations(all, deciding)}
                {parts::usage_table(&run.usage)}
            </div>
            {transcript(&turns, deciding)}
        </div>
    }
    .into_any()
}

/// Link to the connections for errors that are fixed there.
fn connections_link(run: &Run) -> AnyView {
    let kinds = [ErrorKind::CredentialInvalid, ErrorKind::QuotaExhausted, ErrorKind::CircuitOpen];
    let ours = run.error.as_ref().is_some_and(|error| kinds.contains(&error.kind));
    let link = || view! { " " <a href="/settings/connections">"Open connections"</a> };
    ours.then(link).into_any()
}

fn buttons(run: &Run, key: String) -> AnyView {
    let id = run.id;
    if !run.status.is_final() {
        return action_button(format!("/forms/runs/{id}/cancel"), "Cancel run", "", Vec::new());
    }
    if is_being_judged(run) {
        return ().into_any();
    }
    // Only a finished conversation can be judged.
    if run.end_reason.is_none() {
        let url = format!("/suites/new?agent={}&scenario={}", run.agent.id, run.scenario.id);
        return view! { <a class="button" href=url>"Run again"</a> }.into_any();
    }
    let hidden = vec![("idempotency_key", key)];
    action_button(format!("/forms/runs/{id}/evaluate"), "Rejudge", "", hidden)
}

/// All evaluations except the one shown in full, newest first.
fn other_evaluations(all: &[Evaluation], shown: Option<&Evaluation>) -> AnyView {
    let others: Vec<_> =
        all.iter().filter(|e| shown.is_none_or(|shown| shown.id != e.id)).collect();
    if others.is_empty() {
        return ().into_any();
    }
    let rows = others.into_iter().map(evaluation::summary);
    view! {
        <section>
            <h2>"Rejudge results"</h2>
            <p class="hint">"Newest first. They do not change the run’s verdict."</p>
            {rows.collect_view()}
        </section>
    }
    .into_any()
}

fn transcript(turns: &[Turn], deciding: Option<&Evaluation>) -> AnyView {
    let shown = turns.iter().map(|t| turn(t, evaluation::marks(deciding, t.index)));
    let none = turns.is_empty().then(|| view! { <p class="hint">"No messages yet."</p> });
    view! {
        <section class="transcript" aria-labelledby="transcript-head">
            <h2 id="transcript-head">"Transcript"</h2>
            {none}
            {shown.collect_view()}
        </section>
    }
    .into_any()
}

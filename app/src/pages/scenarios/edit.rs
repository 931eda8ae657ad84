//! The editor of a scenario.

use super::{fields, read};
use crate::components::form::{Form, action_button, delete_button, version};
use crate::components::load::{ask, loaded, notice};
use crate::components::rows::rows;
use crate::components::title::heading;
use crate::domain::{Draft, Problems, Run, ScenarioSpec};
use crate::pages::run::parts::run_table;
use crate::server_fns::{ScenarioQuery};
use crate::server_fns::scenarios::ScenarioData;
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};
use serde_json::json;

/// A scenario that is there: edited, or read where it is built in.
#[component]
pub fn ScenarioPage() -> impl IntoView {
    let params = use_params_map();
    page(Signal::derive(move || params.with(|params| params.get("id"))))
}

/// A new one.
#[component]
pub fn NewScenarioPage() -> impl IntoView {
    page(Signal::stored(None))
}

fn page(id: Signal<Option<String>>) -> AnyView {
    let query = use_query_map();
    let data =
        ask(move || ScenarioQuery { id: id.get(), draft: query.with(|query| query.get("draft")) });
    view! { {notice()} {loaded(data, show)} }.into_any()
}

fn check(draft: &Draft) -> Problems {
    ScenarioSpec::parse(draft).err().unwrap_or_default()
}

fn show(data: ScenarioData) -> AnyView {
    match &data.scenario {
        Some(scenario) if scenario.is_built_in => view! {
            {crumbs()}
            <div class="page-head">
                {heading(scenario.name.clone())}
                {actions(&scenario.id.to_string(), true)}
            </div>
            <p class="hint">"Built in: it can be read, run and duplicated, not edited."</p>
            {ScenarioSpec::parse(&data.stored).ok().map(|spec| read::scenario(&spec))}
            {latest(data.runs)}
        }
        .into_any(),
        _ => editor(data),
    }
}

fn crumbs() -> AnyView {
    view! { <nav class="crumbs" aria-label="Breadcrumb"><a href="/scenarios">"Scenarios"</a></nav> }
        .into_any()
}

fn latest(runs: Vec<Run>) -> AnyView {
    if runs.is_empty() {
        return ().into_any();
    }
    view! { <section><h2>"Latest runs"</h2>{run_table(&runs, true)}</section> }.into_any()
}

fn actions(id: &str, built_in: bool) -> AnyView {
    let hint = "The scenario goes; its runs and their transcripts stay.";
    let delete = (!built_in).then(|| {
        delete_button(format!("/forms/scenarios/{id}/delete"), "Delete this scenario", hint)
    });
    view! {
        <div class="actions">
            <a class="button primary" href=format!("/suites/new?scenario={id}")>"Run"</a>
            {action_button(format!("/forms/scenarios/{id}/duplicate"), "Duplicate", "", Vec::new())}
            {delete}
        </div>
    }
    .into_any()
}

fn fresh() -> Draft {
    Draft(json!({
        "mode": "scripted", "difficulty": "medium", "category": "happy_path",
        "conversation_flow": [{"speaker": "user", "message": ""}],
        "success_criteria": {"min_score": 70}, "max_turns": 20, "timeout_seconds": 300,
        "on_unmocked": "error", "is_active": true,
    }))
}

fn editor(data: ScenarioData) -> AnyView {
    let ScenarioData { scenario, stored, rejected, differs, runs } = data;
    let (title, action, draft) = match &scenario {
        None => ("New scenario".to_owned(), "/forms/scenarios".to_owned(), fresh()),
        Some(scenario) => {
            (scenario.name.clone(), format!("/forms/scenarios/{}", scenario.id), stored)
        }
    };
    // What was typed was based on its own revision: the conflict must be seen.
    let version = scenario.as_ref().map(|newest| {
        let shown = rejected.as_ref().map(|rejected| rejected.draft.text("revision"));
        let (here, next) = (format!("/scenarios/{}", newest.id), newest.revision + 1);
        let save = format!("Save mine as revision {next}");
        version("revision", shown, newest.revision.to_string(), here, save, differs)
    });
    let form = Form::new(draft, rejected, check);
    let head = scenario.as_ref().map(|scenario| actions(&scenario.id.to_string(), false));
    let hint = scenario.as_ref().map(|scenario| {
        view! { <p class="hint">"Revision " {scenario.revision} ". Every save makes a new one; runs keep the one they used."</p> }
    });
    view! {
        {crumbs()}
        <div class="page-head">{heading(title)} {head}</div>
        {hint}
        <form method="post" action=action novalidate class="editor"
            on:submit=move |event| form.submitted(&event)
            on:input=move |event| form.corrected(&event)>
            <button type="submit" class="default-submit" tabindex="-1" aria-hidden="true">"Save"</button>
            {form.summary()}
            {version}
            {fields::about(form)}
            {fields::conversation(form)}
            {fields::section("good", "What a good agent does",
                "Each is judged by itself, with a quote. Required ones decide alone.",
                rows(form, fields::BEHAVIORS))}
            {fields::criteria(form)}
            {fields::section("mocks", "Tools",
                "Rehearsal never executes a tool. The first answer that matches a call is given.",
                view! { {fields::tools(form)} {rows(form, fields::MOCKS)} }.into_any())}
            {fields::limits(form)}
            <div class="save-bar"><button type="submit" class="primary">"Save scenario"</button></div>
        </form>
        {latest(runs)}
    }
    .into_any()
}

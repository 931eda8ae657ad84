//! Editor of a scenario.

use super::{fields, read};
use crate::components::form::{
    Form, action_button, delete_button, draft_of, revision_field, revision_hint,
};
use crate::components::form_order::FieldOrder;
use crate::components::page_data::{load, notice, route_param, saved_form_param, when_loaded};
use crate::components::rows::rows;
use crate::components::title::heading;
use crate::components::unsaved::with_kept_input;
use crate::domain::{Draft, Problems, Run, ScenarioSpec};
use crate::pages::run::parts::run_table;
use crate::server_fns::ScenarioQuery;
use crate::server_fns::scenarios::ScenarioData;
use leptos::prelude::*;
use serde_json::json;

/// A scenario: the editor, or a read-only view if it is built in. Without an ID in
/// the path, the editor of a new one.
#[component]
pub fn ScenarioPage() -> impl IntoView {
    let (id, saved_form) = (route_param("id"), saved_form_param());
    let data = load(move || ScenarioQuery { id: id.get(), saved_form: saved_form.get() });
    view! { {notice()} {when_loaded(data, show)} }
}

/// The fields of the page, from top to bottom.
const FIELDS: FieldOrder = &[
    "name",
    "description",
    "category",
    "difficulty",
    "tags",
    "is_active",
    "persona.name",
    "persona.mood",
    "persona.communication_style",
    "persona.background",
    "mode",
    "conversation_flow.speaker",
    "conversation_flow.message",
    "goal",
    "known_facts",
    "opening_line",
    "expected_behaviors.text",
    "expected_behaviors.evidence",
    "expected_behaviors.required",
    "failure_conditions",
    "success_criteria.criteria",
    "success_criteria.must_call_tools",
    "success_criteria.min_score",
    "success_criteria.max_response_seconds",
    "success_criteria.must_include",
    "success_criteria.must_include.text",
    "success_criteria.must_include.match",
    "success_criteria.must_not_include",
    "success_criteria.must_not_include.text",
    "success_criteria.must_not_include.match",
    "required_tools",
    "agent_category",
    "on_unmocked",
    "tool_mocks.tool",
    "tool_mocks.delay_ms",
    "tool_mocks.when",
    "tool_mocks.result",
    "tool_mocks.error",
    "max_turns",
    "timeout_seconds",
];

fn check(draft: &Draft) -> Problems {
    ScenarioSpec::parse_form(draft).err().unwrap_or_default()
}

fn show(data: ScenarioData) -> AnyView {
    match &data.scenario {
        Some(scenario) if scenario.is_built_in => view! {
            {crumbs()}
            <div class="page-head">
                {heading(scenario.name.clone())}
                {actions(&scenario.id.to_string(), true)}
            </div>
            <p class="hint">"Built-in scenario: you can run or duplicate it, but not edit it."</p>
            {ScenarioSpec::parse_form(&data.stored).ok().map(|spec| read::scenario(&spec))}
            {latest_runs(data.runs)}
        }
        .into_any(),
        Some(_) => editor(data, false),
        None => with_kept_input(move |kept| {
            let (mut data, is_kept) = (data.clone(), kept.is_some());
            data.rejected = kept.or(data.rejected);
            editor(data, is_kept)
        }),
    }
}

fn crumbs() -> AnyView {
    view! { <nav class="crumbs" aria-label="Breadcrumb"><a href="/scenarios">"Scenarios"</a></nav> }
        .into_any()
}

fn latest_runs(runs: Vec<Run>) -> AnyView {
    if runs.is_empty() {
        return ().into_any();
    }
    view! { <section><h2>"Latest runs"</h2>{run_table(&runs, true)}</section> }.into_any()
}

fn actions(id: &str, built_in: bool) -> AnyView {
    let hint = "This deletes the scenario. Its runs and transcripts are kept.";
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

fn default_draft() -> Draft {
    Draft(json!({
        "mode": "scripted", "difficulty": "medium", "category": "happy_path",
        "conversation_flow": [{"speaker": "user", "message": ""}],
        "success_criteria": {"min_score": 70}, "max_turns": 20, "timeout_seconds": 300,
        "on_unmocked": "error", "is_active": true,
    }))
}

/// Tells that a run of the scenario would have no verdict.
fn nothing_to_check() -> AnyView {
    view! {
        <p class="warning" role="status">
            "This scenario checks nothing: it has no expected behavior, failure condition, "
            "criterion or rule. Its runs end as inconclusive."
        </p>
    }
    .into_any()
}

/// The editor. `is_kept` means that it shows input from before a reload.
fn editor(data: ScenarioData, is_kept: bool) -> AnyView {
    let ScenarioData { scenario, stored, rejected, differs, runs } = data;
    let (title, action, draft) = match &scenario {
        None => ("New scenario".to_owned(), "/forms/scenarios".to_owned(), default_draft()),
        Some(scenario) => {
            (scenario.name.clone(), format!("/forms/scenarios/{}", scenario.id), stored)
        }
    };
    let version = scenario.as_ref().map(|newest| {
        let url = format!("/scenarios/{}", newest.id);
        revision_field(newest.revision, rejected.as_ref(), url, differs)
    });
    let keep = scenario.is_none().then_some("");
    let unsaved = is_kept.then_some("");
    let form = Form::new(draft, rejected, check).in_order(FIELDS);
    let checks_nothing = RwSignal::new(form.draft(Draft::checks_nothing));
    let head = scenario.as_ref().map(|scenario| actions(&scenario.id.to_string(), false));
    let hint = scenario.as_ref().map(|scenario| revision_hint(scenario.revision));
    view! {
        {crumbs()}
        <div class="page-head">{heading(title)} {head}</div>
        {hint}
        <form method="post" action=action novalidate class="editor" data-keep=keep data-unsaved=unsaved
            on:submit=move |event| form.on_submit(&event)
            on:input=move |event| {
                form.on_input(&event);
                if let Some(draft) = draft_of(&event) {
                    checks_nothing.set(draft.checks_nothing());
                }
            }>
            <button type="submit" class="default-submit" tabindex="-1" aria-hidden="true">"Save"</button>
            {form.summary()}
            {version}
            {fields::about(form)}
            {fields::conversation(form)}
            {fields::section("good", "Expected behaviors",
                "Each behavior is judged separately, with quotes as evidence. The run fails if a required one is not met.",
                rows(form, fields::BEHAVIORS))}
            {fields::criteria(form)}
            {move || checks_nothing.get().then(nothing_to_check)}
            {fields::section("mocks", "Tools",
                "Rehearsal never runs your tools. The first mock that matches a call answers it.",
                view! { {fields::tools(form)} {rows(form, fields::MOCKS)} }.into_any())}
            {fields::limits(form)}
            <div class="save-bar"><button type="submit" class="primary">"Save scenario"</button></div>
        </form>
        {latest_runs(runs)}
    }
    .into_any()
}

//! Editor of an agent.

use super::{deployed_fields, trial};
use crate::components::form::{
    Control, Field, Form, action_button, delete_button, efforts, revision_field, revision_hint,
};
use crate::components::form_order::FieldOrder;
use crate::components::format::cost;
use crate::components::model_names::{MODEL_NAMES, model_names};
use crate::components::page_data::{
    load, notice, query_param, route_param, saved_form_param, when_loaded,
};
use crate::components::rows::{RowList, rows};
use crate::components::title::heading;
use crate::components::unsaved::with_kept_input;
use crate::domain::http_agent::without_hidden_fields;
use crate::domain::{AgentSpec, Draft, Problems};
use crate::pages::suites::list::suite_table;
use crate::server_fns::agents::{AgentData, is_deployed};
use crate::server_fns::{AgentQuery, Choice, ConnectionChoice};
use leptos::prelude::*;
use serde_json::json;

/// The editor of an agent; without an ID in the path, of a new one.
#[component]
pub fn AgentPage() -> impl IntoView {
    let (id, saved_form) = (route_param("id"), saved_form_param());
    let deployed = query_param("deployed");
    let data = load(move || AgentQuery {
        id: id.get(),
        saved_form: saved_form.get(),
        deployed: deployed.get(),
    });
    view! { {notice()} {when_loaded(data, show)} }
}

/// The fields of the page, from top to bottom.
const FIELDS: FieldOrder = &[
    "name",
    "category",
    "description",
    "system_prompt",
    "begin_message",
    "connection_id",
    "model",
    "temperature",
    "max_tokens",
    "reasoning_effort",
    "extra_body",
    "may_hang_up",
    "tools.name",
    "tools.description",
    "tools.parameters",
];

fn check(draft: &Draft) -> Problems {
    AgentSpec::parse(&without_hidden_fields(draft)).err().unwrap_or_default()
}

fn show(data: AgentData) -> AnyView {
    if data.agent.is_some() {
        return editor(data, false);
    }
    with_kept_input(move |kept| {
        // Both kinds of agents are created at the same path.
        let kept = kept.filter(|kept| is_deployed(&kept.draft) == data.is_deployed);
        let (mut data, is_kept) = (data.clone(), kept.is_some());
        data.rejected = kept.or(data.rejected);
        editor(data, is_kept)
    })
}

/// The editor. `is_kept` means that it shows input from before a reload.
fn editor(data: AgentData, is_kept: bool) -> AnyView {
    let AgentData { agent, stored, rejected, differs, connections, is_deployed, .. } = data;
    let (title, action, draft) = match &agent {
        None if is_deployed => {
            ("New deployed agent".to_owned(), "/forms/agents".to_owned(), stored)
        }
        None => ("New agent".to_owned(), "/forms/agents".to_owned(), default_draft(&connections)),
        Some(agent) => (agent.name.clone(), format!("/forms/agents/{}", agent.id), stored),
    };
    let version = agent.as_ref().map(|newest| {
        let url = format!("/agents/{}", newest.id);
        revision_field(newest.revision, rejected.as_ref(), url, differs)
    });
    let keep = agent.is_none().then_some("");
    let unsaved = is_kept.then_some("");
    let order = if is_deployed { deployed_fields::FIELDS } else { FIELDS };
    let form = Form::new(draft, rejected, check).in_order(order);
    let fields = if is_deployed {
        deployed_fields::fields(form, &connections)
    } else {
        fields(form, &connections)
    };
    let actions = agent.as_ref().map(|agent| actions(&agent.id.to_string()));
    let hint = agent.as_ref().map(|agent| revision_hint(agent.revision));
    let spent = cost(data.cost.cost_usd, data.cost.unpriced_calls);
    let history = (!data.suites.is_empty()).then(|| {
        view! {
            <section>
                <h2>"Latest suites"</h2>
                <p class="hint">"Cost of all suites of this agent: " {spent} "."</p>
                {suite_table(data.suites)}
            </section>
        }
    });
    view! {
        <nav class="crumbs" aria-label="Breadcrumb"><a href="/agents">"Agents"</a></nav>
        <div class="page-head">{heading(title)} {actions}</div>
        {hint}
        {presets(data.presets, &data.preset)}
        <form method="post" action=action novalidate class="editor" data-keep=keep data-unsaved=unsaved
            on:submit=move |event| form.on_submit(&event)
            on:input=move |event| form.on_input(&event)>
            <button type="submit" class="default-submit" tabindex="-1" aria-hidden="true">"Save"</button>
            {form.summary()}
            {version}
            {fields}
            <section aria-labelledby="tools-head">
                <h2 id="tools-head">"Tools"</h2>
                <p class="hint">{tools_hint(is_deployed)}</p>
                {rows(form, TOOLS)}
            </section>
            {is_deployed.then(|| trial::pane(form, data.trial))}
            <div class="save-bar"><button type="submit" class="primary">"Save agent"</button></div>
        </form>
        {history}
    }
    .into_any()
}

/// Links to the form of a new deployed agent with each preset.
fn presets(presets: Vec<Choice>, chosen: &str) -> AnyView {
    if presets.is_empty() {
        return ().into_any();
    }
    let other = Choice { id: "true".to_owned(), name: "Other".to_owned(), about: String::new() };
    let all = presets.into_iter().chain([other]);
    let mut hint = String::new();
    let mut links = Vec::new();
    for Choice { id, name, about } in all {
        let is_chosen = id == chosen || (chosen.is_empty() && id == "true");
        if is_chosen {
            hint = about;
        }
        let current = is_chosen.then_some("page");
        let href = format!("/agents/new?deployed={id}");
        links.push(view! { <li><a class="button" href=href aria-current=current>{name}</a></li> });
    }
    view! {
        <nav class="presets" aria-label="Services"><ul>{links}</ul></nav>
        <p class="hint">{hint}</p>
    }
    .into_any()
}

fn tools_hint(is_deployed: bool) -> &'static str {
    if is_deployed {
        "Optional: the agent runs its own tools. Scenarios can require the tools that it calls."
    } else {
        "Rehearsal never runs your tools: the mocks of a scenario answer the calls."
    }
}

fn actions(id: &str) -> AnyView {
    let hint = "This deletes the agent. Its runs and transcripts are kept.";
    view! {
        <div class="actions">
            <a class="button primary" href=format!("/suites/new?agent={id}")>"Run"</a>
            <a class="button" href=format!("/agents/{id}/chat")>"Try it"</a>
            {action_button(format!("/forms/agents/{id}/duplicate"), "Duplicate", "", Vec::new())}
            {delete_button(format!("/forms/agents/{id}/delete"), "Delete this agent", hint)}
        </div>
    }
    .into_any()
}

fn default_draft(connections: &[ConnectionChoice]) -> Draft {
    let connection = match connections {
        [only] => only.id.clone(),
        _ => String::new(),
    };
    Draft(json!({"max_tokens": 1024, "connection_id": connection}))
}

fn fields(form: Form, connections: &[ConnectionChoice]) -> AnyView {
    let mut choices = vec![(String::new(), "Choose a connection".to_owned())];
    choices.extend(connections.iter().map(|c| (c.id.clone(), c.name.clone())));
    let area = Control::TextArea;
    view! {
        <section class="fields" aria-label="About the agent">
            {Field::new("name", "Name", Control::Input("text")).required().show(form)}
            {Field::new("category", "Category", Control::Input("text"))
                .hint("Free text. Scenarios can require a category.").show(form)}
            {Field::new("description", "Description", area(2)).class("wide").show(form)}
            {Field::new("system_prompt", "System prompt", area(14)).required()
                .class("wide mono").show(form)}
            {Field::new("begin_message", "First message", area(2)).class("wide")
                .hint("What the agent says before the user speaks. Leave empty if the user begins.").show(form)}
        </section>
        <section class="fields" aria-labelledby="model-head">
            <h2 id="model-head" class="wide">"Model"</h2>
            {Field::new("connection_id", "Connection", Control::Select(choices)).required().show(form)}
            {Field::new("model", "Model", Control::Input("text")).required()
                .hint("The model’s name at the provider.").suggestions(MODEL_NAMES).show(form)}
            {model_names(ConnectionChoice::models(connections))}
            {Field::new("temperature", "Temperature", Control::Number)
                .hint("0–2. Leave empty for the provider’s default.").show(form)}
            {Field::new("max_tokens", "Max tokens per reply", Control::Number).show(form)}
            {Field::new("reasoning_effort", "Reasoning effort", efforts()).show(form)}
            {Field::new("extra_body", "Extra body", Control::TextArea(3)).class("wide mono")
                .hint("A JSON object whose fields are added to each request to the model.").show(form)}
            {Field::new("may_hang_up", "May hang up", Control::Checkbox).checked_by_default()
                .hint("Offers the tool end_conversation, with which the agent ends the conversation.")
                .show(form)}
        </section>
        <p class="hint"><a href="/settings/connections/new">"Add a connection"</a></p>
    }
    .into_any()
}

const TOOLS: RowList = RowList {
    path: "tools",
    noun: "Tool",
    add: "Add tool",
    blank: |_| json!({"parameters": "{\n  \"type\": \"object\",\n  \"properties\": {}\n}"}),
    row: |form, index, row| {
        let field = |name, label, control| Field::of_row("tools", index, name, label, control, row);
        view! {
            {field("name", "Name", Control::Input("text")).required().class("mono").show(form)}
            {field("description", "Description", Control::Input("text")).show(form)}
            {field("parameters", "Parameters", Control::TextArea(6)).class("wide mono")
                .hint("JSON Schema of type “object”.").show(form)}
        }
        .into_any()
    },
};

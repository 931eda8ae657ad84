//! Default models of the judge and the simulated user.

use super::tabs;
use crate::components::form::{Control, Field, Form, efforts, skip_validation};
use crate::components::form_order::FieldOrder;
use crate::components::model_names::{MODEL_NAMES, model_names};
use crate::components::page_data::{load, notice, saved_form_param, section_when_loaded};
use crate::components::title::heading;
use crate::server_fns::settings::ModelsData;
use crate::server_fns::{ConnectionChoice, ModelsQuery};
use leptos::prelude::*;

/// The fields of the form, in the order of the page.
const FIELDS: FieldOrder = &[
    "judge.connection_id",
    "judge.model",
    "judge.options.temperature",
    "judge.options.max_tokens",
    "judge.options.reasoning_effort",
    "judge.options.extra_body",
    "simulated_user.connection_id",
    "simulated_user.model",
    "simulated_user.options.temperature",
    "simulated_user.options.max_tokens",
    "simulated_user.options.reasoning_effort",
    "simulated_user.options.extra_body",
];

#[component]
pub fn ModelsPage() -> impl IntoView {
    let saved_form = saved_form_param();
    let data = load(move || ModelsQuery { saved_form: saved_form.get() });
    view! { {notice()} {tabs("models")} {heading("Models")} {section_when_loaded(data, show)} }
}

fn show(data: ModelsData) -> AnyView {
    let ModelsData { stored, connections, rejected } = data;
    let form = Form::new(stored, rejected, skip_validation).in_order(FIELDS);
    view! {
        <p class="hint">"Leave a field empty to use the connection or model of the agent under test."</p>
        <form method="post" action="/forms/settings" novalidate class="editor">
            {form.summary()}
            {model_names(ConnectionChoice::models(&connections))}
            <section class="fields" aria-labelledby="judge-head">
                <h2 id="judge-head" class="wide">"Judge"</h2>
                {Field::new("judge.connection_id", "Connection", choices(&connections)).show(form)}
                {Field::new("judge.model", "Model", Control::Input("text"))
                    .suggestions(MODEL_NAMES).show(form)}
                {options(form, JUDGE)}
                {Field::new("judge.options.timeout_seconds", "Max judging time in seconds", Control::Number)
                    .hint("10–3600. Leave empty for 180.").show(form)}
            </section>
            <section class="fields" aria-labelledby="user-head">
                <h2 id="user-head" class="wide">"Simulated user"</h2>
                {Field::new("simulated_user.connection_id", "Connection", choices(&connections))
                    .show(form)}
                {Field::new("simulated_user.model", "Model", Control::Input("text"))
                    .suggestions(MODEL_NAMES).show(form)}
                {options(form, SIMULATED_USER)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Save models"</button></div>
        </form>
    }
    .into_any()
}

/// The paths of the options of a role: temperature, limit, effort and extra body.
type OptionPaths = [&'static str; 4];

const JUDGE: OptionPaths = [
    "judge.options.temperature",
    "judge.options.max_tokens",
    "judge.options.reasoning_effort",
    "judge.options.extra_body",
];
const SIMULATED_USER: OptionPaths = [
    "simulated_user.options.temperature",
    "simulated_user.options.max_tokens",
    "simulated_user.options.reasoning_effort",
    "simulated_user.options.extra_body",
];

fn options(form: Form, [temperature, max_tokens, effort, extra_body]: OptionPaths) -> AnyView {
    view! {
        {Field::new(temperature, "Temperature", Control::Number)
            .hint("0–2. Leave empty for the provider’s default.").show(form)}
        {Field::new(max_tokens, "Max tokens per reply", Control::Number)
            .hint("Leave empty for a limit that suits the model. Includes reasoning.").show(form)}
        {Field::new(effort, "Reasoning effort", efforts()).show(form)}
        {Field::new(extra_body, "Extra body", Control::TextArea(3)).class("wide mono")
            .hint("A JSON object whose fields are added to each request.").show(form)}
    }
    .into_any()
}

fn choices(connections: &[ConnectionChoice]) -> Control {
    let mut choices = vec![(String::new(), "Same as the agent".to_owned())];
    choices.extend(connections.iter().map(|c| (c.id.clone(), c.name.clone())));
    Control::Select(choices)
}

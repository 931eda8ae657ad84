//! Editor of a test profile.

use crate::components::form::{Control, Field, Form, delete_button, revision_field, revision_hint};
use crate::components::form_order::FieldOrder;
use crate::components::page_data::{load, notice, route_param, saved_form_param, when_loaded};
use crate::components::rows::{RowList, rows};
use crate::components::title::heading;
use crate::domain::{Draft, Problems, ProfileSpec};
use crate::server_fns::ProfileQuery;
use crate::server_fns::profiles::ProfileData;
use leptos::prelude::*;
use serde_json::json;

/// The editor of a test profile; without an ID in the path, of a new one.
#[component]
pub fn ProfilePage() -> impl IntoView {
    let (id, saved_form) = (route_param("id"), saved_form_param());
    let data = load(move || ProfileQuery { id: id.get(), saved_form: saved_form.get() });
    view! { {notice()} {when_loaded(data, show)} }
}

/// The fields of the page, from top to bottom.
const FIELDS: FieldOrder =
    &["name", "description", "time_zone", "variables.name", "variables.value", "variables.secret"];

/// The server also checks the time zone, because the browser does not know them.
fn check(draft: &Draft) -> Problems {
    ProfileSpec::parse(draft).err().unwrap_or_default()
}

fn show(data: ProfileData) -> AnyView {
    let ProfileData { profile, stored, rejected } = data;
    let (title, action) = match &profile {
        None => ("New test profile".to_owned(), "/forms/profiles".to_owned()),
        Some(profile) => (profile.name.clone(), format!("/forms/profiles/{}", profile.id)),
    };
    let version = profile.as_ref().map(|newest| {
        let url = format!("/settings/profiles/{}", newest.id);
        revision_field(newest.revision, rejected.as_ref(), url, String::new())
    });
    let form = Form::new(stored, rejected, check).in_order(FIELDS);
    let delete = profile.as_ref().map(|profile| {
        let hint = "Suites that were started with it keep its values.";
        let action = format!("/forms/profiles/{}/delete", profile.id);
        view! { <div class="actions">{delete_button(action, "Delete this test profile", hint)}</div> }
    });
    let hint = profile.as_ref().map(|profile| revision_hint(profile.revision));
    view! {
        <nav class="crumbs" aria-label="Breadcrumb"><a href="/settings/profiles">"Test profiles"</a></nav>
        <div class="page-head">{heading(title)} {delete}</div>
        {hint}
        <form method="post" action=action novalidate class="editor"
            on:submit=move |event| form.on_submit(&event)
            on:input=move |event| form.on_input(&event)>
            <button type="submit" class="default-submit" tabindex="-1" aria-hidden="true">"Save"</button>
            {form.summary()}
            {version}
            <section class="fields" aria-label="About the test profile">
                {Field::new("name", "Name", Control::Input("text")).required().show(form)}
                {Field::new("time_zone", "Time zone", Control::Input("text"))
                    .hint("Of {{today}} and {{now}}, such as Europe/Berlin. Leave empty for UTC.").show(form)}
                {Field::new("description", "Description", Control::TextArea(2)).class("wide").show(form)}
            </section>
            <section aria-labelledby="variables-head">
                <h2 id="variables-head">"Variables"</h2>
                <p class="hint">
                    "Write {{customer.name}} in prompts, scenarios and requests to use the variable customer.name. "
                    "A secret is encrypted and never shown; leave its value empty to keep the stored one."
                </p>
                {rows(form, VARIABLES)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Save test profile"</button></div>
        </form>
    }
    .into_any()
}

const VARIABLES: RowList = RowList {
    path: "variables",
    noun: "Variable",
    add: "Add variable",
    blank: |_| json!({"secret": "false"}),
    row: |form, index, row| {
        let field =
            |name, label, control| Field::of_row("variables", index, name, label, control, row);
        let hint = if row.flag("secret", false) && row.flag("is_set", false) {
            "A value is stored."
        } else {
            ""
        };
        view! {
            {field("name", "Name", Control::Input("text")).required().class("mono").show(form)}
            {field("value", "Value", Control::Input("text")).hint(hint).show(form)}
            {field("secret", "Secret", Control::Checkbox).show(form)}
        }
        .into_any()
    },
};

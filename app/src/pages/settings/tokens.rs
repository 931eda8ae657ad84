//! API tokens.

use super::tabs;
use crate::components::form::{Control, Field, Form, delete_button, skip_validation};
use crate::components::form_order::FieldOrder;
use crate::components::page_data::{load, notice, saved_form_param, section_when_loaded};
use crate::components::table::table;
use crate::components::time::{maybe_time, time};
use crate::components::title::heading;
use crate::domain::{ApiToken, Draft, limits};
use crate::server_fns::TokensQuery;
use crate::server_fns::settings::TokensData;
use leptos::prelude::*;

/// The fields of the form, in the order of the page.
const FIELDS: FieldOrder = &["name", "expires_in_days"];

#[component]
pub fn TokensPage() -> impl IntoView {
    let saved_form = saved_form_param();
    let data = load(move || TokensQuery { saved_form: saved_form.get() });
    view! { {notice()} {tabs("tokens")} {heading("Tokens")} {section_when_loaded(data, show)} }
}

fn show(data: TokensData) -> AnyView {
    let TokensData { tokens, rejected, secret, too_late } = data;
    let days = rejected.as_ref().map(|rejected| rejected.draft.text("expires_in_days"));
    let days =
        days.filter(|days| !days.is_empty()).unwrap_or_else(|| limits::TOKEN_DAYS.to_string());
    let form = Form::new(Draft::default(), rejected, skip_validation).in_order(FIELDS);
    let secret = secret.map(|secret| {
        view! {
            <div class="panel" role="status">
                <h2>"Your new token"</h2>
                <p>"Copy it now: it is not shown again."</p>
                <pre class="secret" tabindex="0">{secret}</pre>
            </div>
        }
    });
    view! {
        <p class="hint">"Programs authenticate with the header " <code>"Authorization: Bearer …"</code> "."</p>
        {secret}
        {too_late.then(|| view! {
            <p class="hint">"A new token is shown once. If you did not copy it, delete it and create another."</p>
        })}
        <form method="post" action="/forms/tokens" novalidate class="editor">
            {form.summary()}
            <section class="fields" aria-label="New token">
                {Field::new("name", "Name", Control::Input("text"))
                    .hint("What the token is for.").required().show(form)}
                {Field::new("expires_in_days", "Days until it expires", Control::Number)
                    .hint("From 1 to 3650.").value(days).show(form)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Create token"</button></div>
        </form>
        {token_table(tokens)}
    }
    .into_any()
}

fn token_table(tokens: Vec<ApiToken>) -> AnyView {
    if tokens.is_empty() {
        return view! { <p class="hint">"No tokens yet."</p> }.into_any();
    }
    let rows = tokens.into_iter().map(|token| {
        let delete = format!("/forms/tokens/{}/delete", token.id);
        let hint = "Programs that use it can no longer authenticate.";
        view! {
            <tr><td>{token.name}</td><td class="num" data-label="Created">{time(token.created_at)}</td>
                <td class="num" data-label="Last used">{maybe_time(token.last_used_at)}</td>
                <td class="num" data-label="Expires">
                    {token.expires_at.map_or_else(|| "Never".into_any(), time)}</td>
                <td class="end">{delete_button(delete, "Delete this token", hint)}</td></tr>
        }
        .into_any()
    });
    let columns =
        [("Token", ""), ("Created", "num"), ("Last used", "num"), ("Expires", "num"), ("", "")];
    table("Tokens", "list", &columns, rows.collect())
}

//! The account: password and sessions.

use super::tabs;
use crate::components::form::{Control, Field, Form, action_button, skip_validation};
use crate::components::form_order::FieldOrder;
use crate::components::format::cost;
use crate::components::page_data::{load, notice, saved_form_param, section_when_loaded};
use crate::components::table::table;
use crate::components::time::time;
use crate::components::title::heading;
use crate::domain::{BrowserSession, DailyBudget, Draft, NanoUsd};
use crate::server_fns::AccountSettingsQuery;
use crate::server_fns::settings::AccountSettingsData;
use crate::services::SavedForm;
use leptos::prelude::*;
use serde_json::json;

/// The fields of the form, in the order of the page.
const FIELDS: FieldOrder = &["current_password", "new_password"];
const BUDGET_FIELDS: FieldOrder = &["daily_budget_usd"];

#[component]
pub fn AccountPage() -> impl IntoView {
    let saved_form = saved_form_param();
    let data = load(move || AccountSettingsQuery { saved_form: saved_form.get() });
    view! { {notice()} {tabs("account")} {heading("Account")} {section_when_loaded(data, show)} }
}

fn show(data: AccountSettingsData) -> AnyView {
    let AccountSettingsData { email, sessions, current, budget, rejected } = data;
    // The page has two forms, and the rejected input is that of one of them.
    let (rejected_budget, rejected) = match rejected {
        Some(rejected) if rejected.draft.at("daily_budget_usd").is_some() => (Some(rejected), None),
        other => (None, other),
    };
    let form = Form::new(Draft::default(), rejected, skip_validation).in_order(FIELDS);
    let field = |name, label| Field::new(name, label, Control::Input("password")).required();
    view! {
        <p class="hint">"Signed in as " {email.clone()} "."</p>
        <form method="post" action="/forms/password" novalidate class="editor">
            {form.summary()}
            <section class="fields" aria-label="Change password">
                // Password managers save the new password under this name.
                <input type="hidden" autocomplete="username" value=email/>
                {field("current_password", "Current password")
                    .autocomplete("current-password").value(String::new()).show(form)}
                {field("new_password", "New password")
                    .hint("At least 10 characters. All other sessions end.")
                    .autocomplete("new-password").value(String::new()).show(form)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Change password"</button></div>
        </form>
        {budget_form(&budget, rejected_budget)}
        <section>
            <h2>"Sessions"</h2>
            {session_table(sessions, current.as_deref())}
            <p class="hint">"API tokens keep working until you delete them."</p>
            {action_button("/forms/sessions/end".to_owned(), "Sign out everywhere", "", Vec::new())}
        </section>
    }
    .into_any()
}

/// The daily budget, and what is spent of it.
fn budget_form(budget: &DailyBudget, rejected: Option<SavedForm>) -> AnyView {
    let chosen = budget.daily_budget_usd.map(NanoUsd::decimal).unwrap_or_default();
    let draft = Draft(json!({ "daily_budget_usd": chosen }));
    let form = Form::new(draft, rejected, skip_validation).in_order(BUDGET_FIELDS);
    let default = match budget.default_daily_budget_usd {
        Some(default) => format!("Leave empty for the server’s default of ${}.", default.decimal()),
        None => "Leave empty for no limit.".to_owned(),
    };
    let spent = cost(Some(budget.spent_today_usd), budget.unpriced_calls_today);
    view! {
        <form method="post" action="/forms/budget" novalidate class="editor">
            {form.summary()}
            <section class="fields" aria-labelledby="budget-head">
                <h2 id="budget-head" class="wide">"Daily budget"</h2>
                <p class="hint wide">
                    "Spent on " {budget.day.clone()} " (UTC): " {spent} ". " {default}
                    " When the budget is used up, no new call starts, and runs end as budget exhausted until the next day."
                </p>
                {Field::new("daily_budget_usd", "US dollars per day", Control::Number).show(form)}
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Save budget"</button></div>
        </form>
    }
    .into_any()
}

fn session_table(sessions: Vec<BrowserSession>, current: Option<&str>) -> AnyView {
    let or_unknown = |text: String| if text.is_empty() { "Unknown".to_owned() } else { text };
    let rows = sessions.into_iter().map(|session| {
        let end = format!("/forms/sessions/{}/end", session.id);
        let is_current = current == Some(session.id.as_str());
        let mark = is_current.then(|| view! { " " <span class="tag">"this browser"</span> });
        view! {
            <tr><td>{or_unknown(session.browser)} {mark}</td>
                <td data-label="Address">{or_unknown(session.address)}</td>
                <td class="num" data-label="Signed in">{time(session.signed_in_at)}</td>
                <td class="num" data-label="Last used">{time(session.last_used_at)}</td>
                <td class="end">{action_button(end, "Sign out", "small", Vec::new())}</td></tr>
        }
        .into_any()
    });
    let columns =
        [("Browser", ""), ("Address", ""), ("Signed in", "num"), ("Last used", "num"), ("", "")];
    table("Sessions", "list", &columns, rows.collect())
}

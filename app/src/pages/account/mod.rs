//! Sign-in and sign-up pages.

use crate::components::form::{Control, Field, Form, skip_validation};
use crate::components::form_order::FieldOrder;
use crate::components::page_data::{load, notice, query_param, saved_form_param, when_loaded};
use crate::components::title::heading;
use crate::domain::Draft;
use crate::server_fns::AccountQuery;
use crate::server_fns::accounts::AccountData;
use leptos::prelude::*;

/// The fields of the form, in the order of the page.
const FIELDS: FieldOrder = &["email", "password"];

#[component]
pub fn SignInPage() -> impl IntoView {
    page(false)
}

#[component]
pub fn SignUpPage() -> impl IntoView {
    page(true)
}

fn page(is_sign_up: bool) -> AnyView {
    let (next, saved_form) = (query_param("next").get_untracked(), saved_form_param());
    let next = next.unwrap_or_default();
    let data = load(move || AccountQuery { saved_form: saved_form.get() });
    view! {
        {notice()}
        <div class="account">{when_loaded(data, move |form| show(form, is_sign_up, next.clone()))}</div>
    }
    .into_any()
}

fn show(data: AccountData, is_sign_up: bool, next: String) -> AnyView {
    let AccountData { sign_up_open, rejected } = data;
    if is_sign_up && !sign_up_open {
        return view! {
            {heading("Sign up")}
            <p>"Sign-up is closed. Ask the operator of this server to create an account for you with "
               <code>"rehearsal user create"</code> "."</p>
            <p><a href="/sign-in">"Sign in"</a></p>
        }
        .into_any();
    }
    let next = match &rejected {
        Some(rejected) if next.is_empty() => rejected.draft.text("next"),
        _ => next,
    };
    let form = Form::new(Draft::default(), rejected, skip_validation).in_order(FIELDS);
    let email = Field::new("email", "Email", Control::Input("email")).required();
    let password = Field::new("password", "Password", Control::Input("password")).required();
    let (title, action, password) = if is_sign_up {
        let password = password.autocomplete("new-password").hint("At least 10 characters.");
        ("Sign up", "/forms/sign-up", password)
    } else {
        ("Sign in", "/forms/sign-in", password.autocomplete("current-password"))
    };
    let other = match (is_sign_up, sign_up_open) {
        (true, _) => {
            view! { <p>"Already have an account? " <a href="/sign-in">"Sign in"</a></p> }.into_any()
        }
        (false, true) => {
            view! { <p>"No account yet? " <a href="/sign-up">"Sign up"</a></p> }.into_any()
        }
        (false, false) => ().into_any(),
    };
    view! {
        {heading(title)}
        <form method="post" action=action novalidate>
            {form.summary()}
            <input type="hidden" name="next" value=next/>
            {email.autocomplete("username").show(form)}
            {password.value(String::new()).show(form)}
            <button type="submit" class="primary">{title}</button>
        </form>
        {other}
    }
    .into_any()
}

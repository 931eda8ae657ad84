//! Signing in and up.

use crate::components::form::{Control, Field, Form, unchecked};
use crate::components::load::{ask, loaded, notice};
use crate::components::title::heading;
use crate::domain::Draft;
use crate::server_fns::{AccountQuery};
use crate::server_fns::accounts::AccountData;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Signing in.
#[component]
pub fn SignInPage() -> impl IntoView {
    page(false)
}

/// Signing up.
#[component]
pub fn SignUpPage() -> impl IntoView {
    page(true)
}

fn page(new: bool) -> AnyView {
    let query = use_query_map();
    let next = query.with_untracked(|query| query.get("next")).unwrap_or_default();
    let data = ask(move || AccountQuery { draft: query.with(|query| query.get("draft")) });
    view! {
        {notice()}
        <div class="account">{loaded(data, move |form| show(form, new, next.clone()))}</div>
    }
    .into_any()
}

fn show(data: AccountData, new: bool, next: String) -> AnyView {
    let AccountData { sign_up_open, rejected } = data;
    if new && !sign_up_open {
        return view! {
            {heading("Sign up")}
            <p>"Nobody can sign up here at the moment. Whoever runs this server can make you an "
               "account with " <code>"rehearsal user create"</code> "."</p>
            <p><a href="/sign-in">"Sign in"</a></p>
        }
        .into_any();
    }
    let next = match &rejected {
        Some(rejected) if next.is_empty() => rejected.draft.text("next"),
        _ => next,
    };
    let form = Form::new(Draft::default(), rejected, unchecked);
    let email = Field::new("email", "Email", Control::Line("email")).required();
    let password = Field::new("password", "Password", Control::Line("password")).required();
    let (title, action, password) = if new {
        let password = password.autocomplete("new-password").hint("At least 10 characters.");
        ("Sign up", "/forms/sign-up", password)
    } else {
        ("Sign in", "/forms/sign-in", password.autocomplete("current-password"))
    };
    let other = match (new, sign_up_open) {
        (true, _) => {
            view! { <p>"You have an account? " <a href="/sign-in">"Sign in"</a></p> }.into_any()
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

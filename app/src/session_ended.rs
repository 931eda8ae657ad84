//! The page shown when a form is submitted after the session expired. Its URL is
//! that of the form action, not of a page, so it is plain HTML without the
//! application.

use crate::components::form::{Control, Field, Form, skip_validation};
use crate::domain::Draft;
use crate::shell::theme;
use leptos::config::LeptosOptions;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, provide_meta_context};
use serde_json::json;

#[derive(Clone, Debug, Default)]
pub struct SignInData {
    /// The email of the previous attempt.
    pub email: String,
    /// The form that waits for the sign-in, in the format of the server.
    pub pending_form: String,
    /// Why the previous sign-in failed.
    pub error: Option<String>,
}

/// The whole HTML document.
pub fn document(options: LeptosOptions, data: SignInData) -> impl IntoView {
    provide_meta_context();
    let form = Form::new(Draft(json!({ "email": data.email })), None, skip_validation);
    let error = data.error.map(|error| {
        view! { <div class="errors" role="alert"><p>{error}</p></div> }
    });
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <title>"Sign in to continue · Rehearsal"</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <HashedStylesheet id="leptos" options/>
                <MetaTags/>
            </head>
            <body>
                <header class="top"><span class="brand">"Rehearsal"</span></header>
                <main id="main" class="account">
                    <h1>"Your session expired. Sign in to continue."</h1>
                    <p>"Your changes are not saved yet. Sign in here, and the form comes back with everything you typed."</p>
                    <form method="post" action="/forms/sign-in" novalidate>
                        {error}
                        <input type="hidden" name="pending_form" value=data.pending_form/>
                        {Field::new("email", "Email", Control::Input("email")).required()
                            .autocomplete("username").show(form)}
                        {Field::new("password", "Password", Control::Input("password")).required()
                            .autocomplete("current-password").value(String::new()).show(form)}
                        <button type="submit" class="primary">"Sign in"</button>
                    </form>
                </main>
            </body>
        </html>
    }
}

//! The page that answers a form whose session has ended. Its address is that
//! of the form, not of a page, so it stands without the application: plain
//! HTML with the style of every page.

use crate::components::form::{Control, Field, Form, unchecked};
use crate::domain::Draft;
use crate::shell::theme;
use leptos::config::LeptosOptions;
use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, provide_meta_context};
use serde_json::json;

/// What the page shows and carries on.
#[derive(Clone, Debug, Default)]
pub struct SignInAgain {
    /// The address that was tried before.
    pub email: String,
    /// What was typed in the form, as the server takes it back.
    pub carried: String,
    /// Why signing in was refused.
    pub refused: Option<String>,
}

/// The document.
pub fn session_ended(options: LeptosOptions, again: SignInAgain) -> impl IntoView {
    provide_meta_context();
    let form = Form::new(Draft(json!({ "email": again.email })), None, unchecked);
    let refused = again.refused.map(|sentence| {
        view! { <div class="errors" role="alert"><p>{sentence}</p></div> }
    });
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <title>"Sign in to go on · Rehearsal"</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <HashedStylesheet id="leptos" options/>
                <MetaTags/>
            </head>
            <body>
                <header class="top"><span class="brand">"Rehearsal"</span></header>
                <main id="main" class="account">
                    <h1>"Your session ended; sign in to go on"</h1>
                    <p>"What you typed is kept on this page. Sign in here and it is shown again; nothing is saved yet."</p>
                    <form method="post" action="/forms/sign-in" novalidate>
                        {refused}
                        <input type="hidden" name="carried" value=again.carried/>
                        {Field::new("email", "Email", Control::Line("email")).required()
                            .autocomplete("username").show(form)}
                        {Field::new("password", "Password", Control::Line("password")).required()
                            .autocomplete("current-password").value(String::new()).show(form)}
                        <button type="submit" class="primary">"Sign in"</button>
                    </form>
                </main>
            </body>
        </html>
    }
}

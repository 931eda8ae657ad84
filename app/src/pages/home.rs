//! The first page.

use leptos::prelude::*;

/// The first page.
#[component]
pub fn HomePage() -> impl IntoView {
    view! { <h1>"Rehearsal"</h1> }
}

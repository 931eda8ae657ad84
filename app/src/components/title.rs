//! The heading of a page, and what a screen reader hears: after navigation
//! the heading takes focus and the title is announced, since the router does
//! neither.

use super::browser;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

/// What is announced politely, and which page was announced last.
#[derive(Clone, Copy)]
pub struct Announcer {
    message: RwSignal<String>,
    last_page: StoredValue<Option<String>>,
}

impl Announcer {
    /// Made once, by the application.
    #[must_use]
    pub fn provide() -> Self {
        let announcer =
            Self { message: RwSignal::new(String::new()), last_page: StoredValue::new(None) };
        provide_context(announcer);
        announcer
    }

    /// The one of the application.
    #[must_use]
    pub fn get() -> Self {
        expect_context()
    }

    /// Says something once, politely.
    pub fn say(self, text: impl Into<String>) {
        self.message.set(text.into());
    }

    /// The live region.
    pub fn region(self) -> AnyView {
        view! { <div class="sr-only" role="status" aria-live="polite">{self.message}</div> }
            .into_any()
    }
}

/// The heading of a page and its title.
pub fn heading(text: impl Into<String>) -> AnyView {
    let text: String = text.into();
    let announcer = Announcer::get();
    let path = use_location().pathname;
    let announced = text.clone();
    Effect::new(move || {
        let here = path.get_untracked();
        let before = announcer.last_page.get_value();
        if before.as_deref() == Some(here.as_str()) {
            return;
        }
        announcer.last_page.set_value(Some(here));
        if before.is_some() {
            browser::focus_soon("page-title".to_owned());
            announcer.say(announced.clone());
        }
    });
    view! {
        <Title text=text.clone()/>
        <h1 id="page-title" tabindex="-1">{text}</h1>
    }
    .into_any()
}

//! Page headings and screen reader announcements. After navigation the heading
//! gets the focus and the title is announced, because the router does neither.

use super::browser;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

/// The polite live region of the application.
#[derive(Clone, Copy)]
pub struct Announcer {
    message: RwSignal<String>,
    last_page: StoredValue<Option<String>>,
}

impl Announcer {
    /// Called once by the application.
    #[must_use]
    pub fn provide() -> Self {
        let announcer =
            Self { message: RwSignal::new(String::new()), last_page: StoredValue::new(None) };
        provide_context(announcer);
        announcer
    }

    #[must_use]
    pub fn get() -> Self {
        expect_context()
    }

    pub fn announce(self, text: impl Into<String>) {
        self.message.set(text.into());
    }

    pub fn region(self) -> AnyView {
        view! { <div class="sr-only" role="status" aria-live="polite">{self.message}</div> }
            .into_any()
    }
}

/// The `h1` and the title of a page.
pub fn heading(text: impl Into<String>) -> AnyView {
    let text: String = text.into();
    let announcer = Announcer::get();
    let path = use_location().pathname;
    let announced = text.clone();
    Effect::new(move || {
        let current = path.get_untracked();
        let before = announcer.last_page.get_value();
        if before.as_deref() == Some(current.as_str()) {
            return;
        }
        announcer.last_page.set_value(Some(current));
        if before.is_some() {
            browser::focus_after_render("page-title".to_owned());
            announcer.announce(announced.clone());
        }
    });
    view! {
        <Title text=text.clone()/>
        <h1 id="page-title" tabindex="-1">{text}</h1>
    }
    .into_any()
}

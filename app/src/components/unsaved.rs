//! Input of a new object that survives a reload. `page.js` keeps the fields of a form with
//! the attribute `data-keep` in this tab when the page is left, and forgets them when
//! another page is opened. Passwords and headers are never kept. What was typed before the
//! kept input returned is newer, so `page.js` puts it into the restored form.

use super::browser;
use crate::domain::{Draft, form};
use crate::services::SavedForm;
use leptos::prelude::*;

/// Shows the form of a new object, and again with the kept input after a reload. A form
/// with kept input has the attribute `data-unsaved`, so that leaving it asks first.
pub fn with_kept_input(
    view: impl Fn(Option<SavedForm>) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    let kept = RwSignal::new(None);
    Effect::new(move |before: Option<()>| {
        if before.is_none()
            && let Some(fields) = browser::take_kept_fields()
        {
            kept.set(form::parse(fields).ok());
            browser::after_ms(0, browser::announce_restored_input);
        }
    });
    let shown = move || {
        let notice = kept.with(Option::is_some).then(notice);
        let input = kept.get().map(|draft: Draft| SavedForm { draft, ..Default::default() });
        view! { {notice} {view(input)} }
    };
    shown.into_any()
}

fn notice() -> AnyView {
    view! {
        <p class="notice" role="status">
            "Your input from before the reload was restored, except for keys. It is not saved yet. "
            <a href=browser::current_path() rel="external">"Discard it"</a>
        </p>
    }
    .into_any()
}

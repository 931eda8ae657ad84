//! Access to browser APIs, in addition to `page.js`. On the server these functions
//! do nothing, because only effects and event handlers use them, never rendering.

#[cfg(feature = "hydrate")]
pub use in_browser::*;
#[cfg(not(feature = "hydrate"))]
pub use on_server::*;

#[cfg(feature = "hydrate")]
mod in_browser {
    use wasm_bindgen::JsCast;
    use wasm_bindgen::closure::Closure;
    use web_sys::{Document, FormData, HtmlElement, HtmlFormElement, Window};

    fn window() -> Option<Window> {
        web_sys::window()
    }

    fn document() -> Option<Document> {
        window()?.document()
    }

    fn element(id: &str) -> Option<HtmlElement> {
        document()?.get_element_by_id(id)?.dyn_into().ok()
    }

    /// Marks the page as interactive for tests and CSS.
    pub fn mark_hydrated() {
        if let Some(body) = document().and_then(|document| document.body()) {
            let _ = body.set_attribute("data-hydrated", "true");
        }
    }

    pub fn focus(id: &str) {
        if let Some(element) = element(id) {
            let _ = element.focus();
        }
    }

    /// Focuses an element after pending changes are rendered.
    pub fn focus_after_render(id: String) {
        after_ms(0, move || focus(&id));
    }

    pub fn after_ms(millis: i32, run: impl FnOnce() + 'static) {
        let run = Closure::once_into_js(run);
        if let Some(window) = window() {
            let _ = window
                .set_timeout_with_callback_and_timeout_and_arguments_0(run.unchecked_ref(), millis);
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // far below 2^53
    pub fn now_ms() -> i64 {
        js_sys::Date::now() as i64
    }

    /// Local time: `2026-11-23 07:38:12`.
    #[must_use]
    pub fn local_time(millis: i64) -> Option<String> {
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let at = js_sys::Date::new(&(millis as f64).into());
        let two = |n: u32| format!("{n:02}");
        let date = [at.get_full_year().to_string(), two(at.get_month() + 1), two(at.get_date())];
        let clock = [two(at.get_hours()), two(at.get_minutes()), two(at.get_seconds())];
        Some(format!("{} {}", date.join("-"), clock.join(":")))
    }

    /// The entries that a form would post, in order.
    #[must_use]
    pub fn form_entries(form: &HtmlFormElement) -> Vec<(String, String)> {
        let Ok(data) = FormData::new_with_form(form) else { return Vec::new() };
        let mut entries = Vec::new();
        for entry in data.entries().into_iter().flatten() {
            let entry: js_sys::Array = entry.unchecked_into();
            if let (Some(name), Some(value)) = (entry.get(0).as_string(), entry.get(1).as_string())
            {
                entries.push((name, value));
            }
        }
        entries
    }

    /// The form that handles an event.
    #[must_use]
    pub fn form_of(event: &web_sys::Event) -> Option<HtmlFormElement> {
        event.current_target()?.dyn_into().ok()
    }

    #[must_use]
    pub fn form(id: &str) -> Option<HtmlFormElement> {
        element(id)?.dyn_into().ok()
    }

    #[must_use]
    pub fn is_hidden() -> bool {
        document().is_some_and(|document| document.hidden())
    }

    /// Calls back when the tab is hidden or shown, until the listener is dropped.
    pub fn on_visibility(run: impl FnMut() + 'static) -> VisibilityListener {
        let closure = Closure::<dyn FnMut()>::new(run);
        if let Some(document) = document() {
            let _ = document.add_event_listener_with_callback(
                "visibilitychange",
                closure.as_ref().unchecked_ref(),
            );
        }
        VisibilityListener { closure }
    }

    /// Unsubscribes when dropped.
    pub struct VisibilityListener {
        closure: Closure<dyn FnMut()>,
    }

    impl Drop for VisibilityListener {
        fn drop(&mut self) {
            if let Some(document) = document() {
                let _ = document.remove_event_listener_with_callback(
                    "visibilitychange",
                    self.closure.as_ref().unchecked_ref(),
                );
            }
        }
    }

    /// Scrolls to the element that the URL fragment names.
    pub fn scroll_to_hash() {
        let hash = window().and_then(|window| window.location().hash().ok()).unwrap_or_default();
        if let Some(target) = hash.strip_prefix('#').and_then(element) {
            target.scroll_into_view();
        }
    }

    /// Whether an element is scrolled to its end.
    #[must_use]
    pub fn is_at_end(id: &str) -> bool {
        element(id).is_none_or(|e| e.scroll_height() - e.scroll_top() - e.client_height() < 48)
    }

    pub fn scroll_to_end(id: &str) {
        if let Some(element) = element(id) {
            element.set_scroll_top(element.scroll_height());
        }
    }

    /// Scrolls to an element if its top is not visible.
    pub fn scroll_into_view(id: &str) {
        let Some(element) = element(id) else { return };
        let height = window().and_then(|window| window.inner_height().ok()?.as_f64());
        let top = element.get_bounding_client_rect().top();
        if height.is_some_and(|height| top < 0.0 || top > height * 0.8) {
            element.scroll_into_view();
        }
    }

    /// Checks or unchecks every checkbox with this name.
    pub fn check_all(name: &str, on: bool) {
        let Some(document) = document() else { return };
        let boxes = document.get_elements_by_name(name);
        for i in 0..boxes.length() {
            if let Some(input) =
                boxes.get(i).and_then(|node| node.dyn_into::<web_sys::HtmlInputElement>().ok())
            {
                input.set_checked(on);
            }
        }
    }

    /// Path and query of the URL.
    #[must_use]
    pub fn current_path() -> String {
        let Some(location) = window().map(|window| window.location()) else {
            return "/".to_owned();
        };
        format!(
            "{}{}",
            location.pathname().unwrap_or_default(),
            location.search().unwrap_or_default()
        )
    }

    /// The fields of a form that `page.js` kept for this URL before a reload. They are
    /// returned once.
    #[must_use]
    pub fn take_kept_fields() -> Option<Vec<(String, String)>> {
        let storage = window()?.session_storage().ok()??;
        let key = format!("kept:{}", current_path());
        let fields = storage.get_item(&key).ok()??;
        let _ = storage.remove_item(&key);
        serde_json::from_str(&fields).ok()
    }

    /// Tells `page.js` that a form shows its kept input again.
    pub fn announce_restored_input() {
        if let (Some(window), Ok(event)) = (window(), web_sys::Event::new("kept-input-restored")) {
            let _ = window.dispatch_event(&event);
        }
    }

    /// Focuses the next (or previous) match after the focused element.
    pub fn focus_next(selector: &str, back: bool) {
        let Some(document) = document() else { return };
        let Ok(all) = document.query_selector_all(selector) else { return };
        let nodes: Vec<HtmlElement> =
            (0..all.length()).filter_map(|i| all.get(i)?.dyn_into().ok()).collect();
        let active = document.active_element();
        // Another control of the same row counts as the row.
        let holds = |node: &HtmlElement, active: &web_sys::Element| {
            let row = node.closest("tr").ok().flatten();
            node.contains(Some(active)) || row.is_some_and(|row| row.contains(Some(active)))
        };
        let at =
            nodes.iter().position(|node| active.as_ref().is_some_and(|active| holds(node, active)));
        let next = match (at, back) {
            (None, _) => 0,
            (Some(i), false) => i + 1,
            (Some(i), true) => i.saturating_sub(1),
        };
        if let Some(node) = nodes.get(next) {
            let _ = node.focus();
        }
    }

    /// The left and right arrow keys move the focus between the controls of a table row.
    pub fn move_within_row(event: &web_sys::KeyboardEvent) {
        let back = match event.key().as_str() {
            "ArrowLeft" => true,
            "ArrowRight" => false,
            _ => return,
        };
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let row = target.as_ref().and_then(|target| target.closest("tr").ok()?);
        let (Some(target), Some(row)) = (target, row) else { return };
        let Ok(all) = row.query_selector_all("a[href], button:enabled") else { return };
        let controls: Vec<HtmlElement> =
            (0..all.length()).filter_map(|i| all.get(i)?.dyn_into().ok()).collect();
        let at = controls.iter().position(|control| control.is_same_node(Some(&target)));
        let next = at.and_then(|at| if back { at.checked_sub(1) } else { Some(at + 1) });
        if let Some(control) = next.and_then(|next| controls.get(next)) {
            event.prevent_default();
            let _ = control.focus();
        }
    }

    /// Whether a key press is text input or has a modifier.
    #[must_use]
    pub fn is_typing(event: &web_sys::KeyboardEvent) -> bool {
        event.ctrl_key()
            || event.meta_key()
            || event.alt_key()
            || event
                .target()
                .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
                .is_some_and(|e| matches!(e.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
    }

    pub fn open_dialog(id: &str) {
        if let Some(dialog) =
            element(id).and_then(|e| e.dyn_into::<web_sys::HtmlDialogElement>().ok())
            && !dialog.open()
        {
            let _ = dialog.show_modal();
        }
    }
}

#[cfg(not(feature = "hydrate"))]
#[allow(clippy::must_use_candidate)] // same signatures as above
mod on_server {
    use leptos::web_sys::{Event, HtmlFormElement, KeyboardEvent};

    pub fn mark_hydrated() {}
    pub fn focus(_id: &str) {}
    pub fn focus_after_render(_id: String) {}
    pub fn after_ms(_millis: i32, _run: impl FnOnce() + 'static) {}
    pub fn now_ms() -> i64 {
        0
    }
    pub fn local_time(_millis: i64) -> Option<String> {
        None
    }
    pub fn form_entries(_form: &HtmlFormElement) -> Vec<(String, String)> {
        Vec::new()
    }
    pub fn form_of(_event: &Event) -> Option<HtmlFormElement> {
        None
    }
    pub fn form(_id: &str) -> Option<HtmlFormElement> {
        None
    }
    pub fn scroll_to_hash() {}
    pub fn is_at_end(_id: &str) -> bool {
        true
    }
    pub fn scroll_to_end(_id: &str) {}
    pub fn scroll_into_view(_id: &str) {}
    pub fn check_all(_name: &str, _on: bool) {}
    pub fn current_path() -> String {
        "/".to_owned()
    }
    pub fn take_kept_fields() -> Option<Vec<(String, String)>> {
        None
    }
    pub fn announce_restored_input() {}
    pub fn focus_next(_selector: &str, _back: bool) {}
    pub fn move_within_row(_event: &KeyboardEvent) {}
    pub fn is_typing(_event: &KeyboardEvent) -> bool {
        true
    }
    pub fn open_dialog(_id: &str) {}
}

//! The WASM entry: hydrates the pages of `app`, nothing else.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the loader script once the module is there.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
}

//! The WASM entry: hydrates the pages of `app`, nothing else.

use app::components::browser;
use app::pages::later::Part;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the loader script once the module is there.
///
/// A page of a later part is hydrated when that is there too. Without it the
/// page stays as the server made it, and works as it does without scripts.
#[wasm_bindgen]
pub async fn hydrate() {
    console_error_panic_hook::set_once();
    if let Some(part) = Part::at(&browser::here())
        && part.load().await.is_err()
    {
        return;
    }
    leptos::mount::hydrate_body(app::App);
}

//! WASM entry point: hydrates the pages of `app`.

use app::components::browser;
use app::pages::lazy_routes::LazyChunk;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the loader script after the module was instantiated.
///
/// Loads the lazy chunk of the page first. If that fails, the page is not hydrated
/// and works as it does without JavaScript.
#[wasm_bindgen]
pub async fn hydrate() {
    console_error_panic_hook::set_once();
    if let Some(chunk) = LazyChunk::at(&browser::current_path())
        && chunk.load().await.is_err()
    {
        return;
    }
    leptos::mount::hydrate_body(app::App);
}

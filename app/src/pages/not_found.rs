//! The 404 page.

use crate::components::page_data::error_page;
use crate::error::AppError;
use leptos::prelude::*;

/// The page for unknown URLs. Sets the HTTP status to 404.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(leptos::server_fn::axum_export::http::StatusCode::NOT_FOUND);
    }
    error_page(&AppError::not_found("page"))
}

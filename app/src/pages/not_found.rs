//! An address that nothing stands behind.

use crate::components::load::error_page;
use crate::error::AppError;
use leptos::prelude::*;

/// The page of an unknown address; with the status to match.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(leptos::server_fn::axum_export::http::StatusCode::NOT_FOUND);
    }
    error_page(&AppError::not_found("page"))
}

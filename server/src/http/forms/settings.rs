//! The form for the judge and simulated-user models.

use super::{PostedForm, redirect_after, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::Settings;
use domain::error::AppError;

pub(super) fn routes() -> Router<HttpState> {
    Router::new().route("/forms/settings", post(update))
}

async fn update(user: SignedIn, form: PostedForm) -> Response {
    const PAGE: &str = "/settings/models";
    let result = match Settings::parse(&form.draft) {
        Ok(settings) => user.services.settings.update_settings(&user.caller, &settings).await,
        Err(problems) => Err(AppError::invalid(problems)),
    };
    let page = form.page.clone().unwrap_or_else(|| PAGE.to_owned());
    let target = with_notice(&form.redirect_target(&page), "saved");
    redirect_after(&user, form, PAGE, result, |_| target).await
}

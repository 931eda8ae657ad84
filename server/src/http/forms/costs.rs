//! Forms for prices and the daily budget.

use super::{PostedForm, redirect_after, redirect_with_saved_form, with_notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use axum::Router;
use axum::response::Response;
use axum::routing::post;
use domain::error::AppError;
use domain::{ConnectionId, DailyBudget};

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/connections/{id}/prices", post(update_prices))
        .route("/forms/budget", post(update_budget))
}

async fn update_prices(user: SignedIn, Id(id): Id<ConnectionId>, form: PostedForm) -> Response {
    let page = format!("/settings/connections/{id}/prices");
    if let Some(action) = form.action.clone() {
        return redirect_with_saved_form(&user, form, &page, &action).await;
    }
    let result = user.services.costs.update_prices(&user.caller, id, &form.draft).await;
    let target = with_notice(&form.redirect_target(&page), "saved");
    redirect_after(&user, form, &page, result, |_| target).await
}

async fn update_budget(user: SignedIn, form: PostedForm) -> Response {
    const PAGE: &str = "/settings/account";
    let result = match DailyBudget::parse(&form.draft) {
        Ok(budget) => user.services.costs.update_daily_budget(&user.caller, budget).await,
        Err(problems) => Err(AppError::invalid(problems)),
    };
    let target = with_notice(&form.redirect_target(PAGE), "saved");
    redirect_after(&user, form, PAGE, result, |_| target).await
}

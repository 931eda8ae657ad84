//! The form of the models that judge and play users.

use super::{Posted, finish, notice};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::spawned::spawned;
use domain::Settings;
use domain::error::AppError;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;

pub(super) fn routes() -> Router<HttpState> {
    Router::new().route("/forms/settings", post(update))
}

async fn update(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    posted: Posted,
) -> Response {
    const BACK: &str = "/settings/models";
    let answer = match Settings::parse(&posted.draft) {
        Ok(settings) => {
            let (services, who) = (state.services.clone(), caller.clone());
            let work = async move { services.settings.update_settings(&who, &settings).await };
            spawned(&state.clock, work).await
        }
        Err(problems) => Err(AppError::invalid(problems)),
    };
    let back = posted.back.clone().unwrap_or_else(|| BACK.to_owned());
    let onward = notice(&posted.onward(&back), "saved");
    finish(&state, &caller, posted, BACK, answer, |_| onward).await
}

//! Forms as browsers without script post them: read, done, and answered with
//! a redirect (303). What is refused is kept, so that the page shows it again
//! with its problems and nothing typed is lost.

mod accounts;
mod action;
mod agents;
mod connections;
mod ended;
mod parse;
mod places;
mod posted;
mod scenarios;
mod settings;
mod suites;
mod tokens;

pub use action::Action;
pub use domain::address::local;
pub use parse::draft;
pub use posted::Posted;

use super::HttpState;
use super::problem::Failure;
use domain::services::{AppResult, Caller, Rejected};
use domain::Draft;
use domain::error::{AppError, ErrorCode};
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};

/// All forms.
pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    let of_somebody = Router::new()
        .merge(agents::routes())
        .merge(scenarios::routes())
        .merge(connections::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(suites::routes())
        .route_layer(from_fn_with_state(state.clone(), ended::guard));
    accounts::routes().merge(of_somebody)
}

/// 303: the browser reads the page at `path` with GET.
fn see_other(path: &str) -> Response {
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// `path` with a notice of what was done.
fn notice(path: &str, what: &str) -> String {
    places::with(path, "notice", what)
}

/// What a form says whose key was used with other content.
const KEY_USED: &str =
    "This form has started something else already. Look at that, or send the form once more.";

/// What never is kept: secrets, and keys of starts (the page gets a fresh one).
const NOT_KEPT: [&str; 5] =
    ["password", "current_password", "new_password", "api_key", "idempotency_key"];

/// The draft without secrets.
fn without_secrets(mut draft: Draft) -> Draft {
    if let Some(fields) = draft.0.as_object_mut() {
        fields.retain(|name, _| !NOT_KEPT.contains(&name.as_str()));
    }
    draft
}

/// The end of a form: to where `done` says, or back with what was typed.
async fn finish<T>(
    state: &HttpState,
    caller: &Caller,
    posted: Posted,
    default_back: &str,
    answer: AppResult<T>,
    done: impl FnOnce(T) -> String,
) -> Response {
    match answer {
        Ok(value) => see_other(&done(value)),
        Err(error) => refuse(state, Some(caller), posted, default_back, error).await,
    }
}

/// Back to the page that the form was posted from, with what was typed and
/// why it was refused. What no correction can mend (nothing there, nobody
/// signed in, our own faults) is a page of its own.
async fn refuse(
    state: &HttpState,
    caller: Option<&Caller>,
    posted: Posted,
    default_back: &str,
    error: AppError,
) -> Response {
    match error.code {
        ErrorCode::NotFound
        | ErrorCode::Forbidden
        | ErrorCode::Unavailable
        | ErrorCode::Internal => return Failure::from(error).into_response(),
        ErrorCode::Unauthenticated if caller.is_some() => {
            return Failure::from(error).into_response();
        }
        ErrorCode::Unauthenticated
        | ErrorCode::Malformed
        | ErrorCode::Conflict
        | ErrorCode::TooLarge
        | ErrorCode::Invalid
        | ErrorCode::TooMany => {}
    }
    let back = posted.back.clone().unwrap_or_else(|| default_back.to_owned());
    let mut rejected = Rejected {
        draft: without_secrets(posted.draft),
        problems: error.problems,
        detail: error.detail,
        link: error.link,
    };
    // A key is no field that somebody could correct; the page has a fresh one.
    let asked = rejected.problems.len();
    rejected.problems.retain(|problem| problem.path != "idempotency_key");
    if rejected.problems.len() < asked {
        KEY_USED.clone_into(&mut rejected.detail);
    }
    match state.services.drafts.keep_draft(caller, &rejected).await {
        Ok(id) => see_other(&places::with(&back, "draft", &id.to_string())),
        Err(error) => Failure::from(error).into_response(),
    }
}

/// The form again, changed by one of its list buttons; nothing is checked yet.
async fn again(
    state: &HttpState,
    caller: &Caller,
    mut posted: Posted,
    default_back: &str,
    action: &Action,
) -> Response {
    action.apply(&mut posted.draft);
    let back = posted.back.as_deref().unwrap_or(default_back);
    let rejected = Rejected { draft: without_secrets(posted.draft), ..Rejected::default() };
    match state.services.drafts.keep_draft(Some(caller), &rejected).await {
        Ok(id) => {
            let place = places::with(back, "draft", &id.to_string());
            see_other(&format!("{place}#{}", action.list()))
        }
        Err(error) => Failure::from(error).into_response(),
    }
}

//! HTML form handlers. Each one calls a service and redirects with 303. A rejected
//! form is stored, so that its page shows the input together with the problems.

mod accounts;
mod action;
mod agent_chat;
mod agents;
mod connections;
mod costs;
mod imports;
mod posted_form;
mod profiles;
mod redirect;
mod scenarios;
mod session_ended;
mod settings;
mod suites;
mod tokens;

pub use action::Action;
pub use posted_form::PostedForm;

use super::auth::SignedIn;
use super::problem::ErrorResponse;
use super::{HttpState, detached};
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use domain::Draft;
use domain::error::{AppError, ErrorCode};
use domain::services::{AppResult, Caller, SavedForm, SavedFormService};

pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    let authenticated = Router::new()
        .merge(agents::routes())
        .merge(agent_chat::routes())
        .merge(scenarios::routes())
        .merge(profiles::routes())
        .merge(connections::routes())
        .merge(costs::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(accounts::account_routes())
        .merge(suites::routes())
        .route_layer(from_fn_with_state(state.clone(), session_ended::require_session));
    accounts::routes()
        // A file cannot be kept on the sign-in page, so these redirect there themselves.
        .merge(imports::routes())
        .merge(authenticated)
        .route_layer(from_fn_with_state(state.clone(), detached::detach_writes))
}

/// Redirects with 303, so that the browser requests `path` with GET.
fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

fn with_notice(path: &str, notice: &str) -> String {
    redirect::with_param(path, "notice", notice)
}

const KEY_REUSED: &str =
    "This form has already started something else. Open that, or submit the form again.";

/// Fields that are not stored with a rejected form: secrets, and the idempotency
/// key, which the page generates anew.
const NOT_STORED: [&str; 5] =
    ["password", "current_password", "new_password", "api_key", "idempotency_key"];

fn without_secrets(mut draft: Draft) -> Draft {
    if let Some(fields) = draft.0.as_object_mut() {
        fields.retain(|name, _| !NOT_STORED.contains(&name.as_str()));
        for (field, separator) in [("headers", ':'), ("query", '=')] {
            if let Some(pairs) = fields.get_mut(field) {
                domain::remove_secret_values(pairs, separator);
            }
        }
    }
    domain::mask_request_headers(&mut draft);
    domain::remove_secret_variables(&mut draft);
    draft
}

/// Redirects to the target after success, else back to the form.
async fn redirect_after<T>(
    user: &SignedIn,
    form: PostedForm,
    default_page: &str,
    result: AppResult<T>,
    target: impl FnOnce(T) -> String,
) -> Response {
    match result {
        Ok(value) => see_other(&target(value)),
        Err(error) => redirect_with_problems(user, form, default_page, error).await,
    }
}

/// Stores the rejected form and redirects to its page, which shows the input and
/// the problems. Answers with an error page if the user cannot correct the error.
async fn redirect_with_problems(
    user: &SignedIn,
    form: PostedForm,
    default_page: &str,
    error: AppError,
) -> Response {
    if error.code == ErrorCode::Unauthenticated {
        return ErrorResponse::from(error).into_response();
    }
    let page = form.page.as_deref().unwrap_or(default_page);
    store_problems(&*user.services.saved_forms, Some(&user.caller), form.draft, page, error).await
}

/// Like [`redirect_with_problems`]; `caller` is `None` before sign-in.
async fn store_problems(
    saved_forms: &dyn SavedFormService,
    caller: Option<&Caller>,
    draft: Draft,
    page: &str,
    error: AppError,
) -> Response {
    match error.code {
        ErrorCode::NotFound
        | ErrorCode::Forbidden
        | ErrorCode::Unavailable
        | ErrorCode::Internal => return ErrorResponse::from(error).into_response(),
        ErrorCode::Unauthenticated
        | ErrorCode::Malformed
        | ErrorCode::Conflict
        | ErrorCode::TooLarge
        | ErrorCode::Invalid
        | ErrorCode::TooMany => {}
    }
    let AppError { mut problems, mut detail, link, .. } = error;
    // The user cannot correct the key, and the page generates a new one.
    if problems.extract_if(.., |problem| problem.path == "idempotency_key").count() > 0 {
        KEY_REUSED.clone_into(&mut detail);
    }
    let rejected = SavedForm { draft: without_secrets(draft), problems, detail, link };
    match saved_forms.save_form(caller, &rejected).await {
        Ok(id) => see_other(&redirect::with_saved_form(page, id)),
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// Applies a list button to the form, stores the form without validation and
/// redirects to its page.
async fn redirect_with_saved_form(
    user: &SignedIn,
    mut form: PostedForm,
    default_page: &str,
    action: &Action,
) -> Response {
    action.apply(&mut form.draft);
    let page = form.page.as_deref().unwrap_or(default_page);
    let rejected = SavedForm { draft: without_secrets(form.draft), ..SavedForm::default() };
    match user.services.saved_forms.save_form(Some(&user.caller), &rejected).await {
        Ok(id) => {
            let location = redirect::with_saved_form(page, id);
            see_other(&format!("{location}#{}", action.list()))
        }
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

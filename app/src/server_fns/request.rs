//! What every server function needs: the services, the caller, and the HTTP status of
//! errors.

use crate::components::form_data::differences;
use crate::error::{AppError, ErrorCode};
use crate::services::{Caller, CurrentSession, SavedForm, Services};
use crate::url::{local_path, percent_encode};
use leptos::prelude::{expect_context, use_context};
use leptos::server_fn::axum_export::http::{StatusCode, request::Parts};
use leptos_axum::ResponseOptions;
use leptos_router::location::Url;
use std::str::FromStr;

/// The services; the server provides them with every request.
pub(crate) fn services() -> Services {
    expect_context::<Services>()
}

/// The caller, if a user is signed in.
pub(crate) fn optional_caller() -> Option<Caller> {
    use_context::<Option<Caller>>().flatten()
}

/// The id of the session of this browser, as it is listed.
pub(crate) fn current_session() -> Option<String> {
    use_context::<CurrentSession>()?.0
}

/// The caller. Without one, a page redirects to the sign-in page and a request from
/// the browser gets 401.
pub(crate) fn caller() -> Result<Caller, AppError> {
    optional_caller().ok_or_else(|| {
        to_sign_in();
        AppError::unauthenticated()
    })
}

fn to_sign_in() {
    let (Some(parts), Some(response)) = (use_context::<Parts>(), use_context::<ResponseOptions>())
    else {
        return;
    };
    if parts.uri.path().starts_with("/fn/") {
        response.set_status(StatusCode::UNAUTHORIZED);
        return;
    }
    let page = parts.uri.path_and_query().map_or("/", |page| page.as_str());
    leptos_axum::redirect(&format!("/sign-in?next={}", percent_encode(page)));
    response.set_status(StatusCode::FOUND);
}

/// Redirects a signed-in user from the sign-in page to the next page.
pub(crate) fn past_sign_in() {
    let (Some(parts), Some(response)) = (use_context::<Parts>(), use_context::<ResponseOptions>())
    else {
        return;
    };
    leptos_axum::redirect(&next_of(parts.uri.query().unwrap_or_default()));
    if !parts.uri.path().starts_with("/fn/") {
        response.set_status(StatusCode::FOUND);
    }
}

/// The page that `next=` names, if it is a path of this site; else the home page.
fn next_of(query: &str) -> String {
    let next = query.split('&').find_map(|pair| pair.strip_prefix("next="));
    let next = Url::unescape(next.unwrap_or_default());
    local_path(&next).unwrap_or("/").to_owned()
}

/// Returns the result unchanged and sets the HTTP status of an error.
pub(crate) fn with_error_status<T>(result: Result<T, AppError>) -> Result<T, AppError> {
    if let Err(error) = &result
        && error.code != ErrorCode::Unauthenticated
        && let Some(response) = use_context::<ResponseOptions>()
        && let Ok(status) = StatusCode::from_u16(error.code.status())
    {
        response.set_status(status);
    }
    result
}

/// Serializes an output.
pub(crate) fn json(output: &impl serde::Serialize) -> Result<String, AppError> {
    let internal = |_| AppError::new(ErrorCode::Internal, "Something went wrong.");
    serde_json::to_string(output).map_err(internal)
}

/// Parses an id from the address. Invalid ids are "not found".
pub(crate) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, AppError> {
    text.parse().map_err(|_| AppError::not_found(what))
}

/// The rejected input of `?saved_form=`, unless it expired.
pub(crate) async fn rejected(saved_form: Option<&str>) -> Option<SavedForm> {
    let id = saved_form?.parse().ok()?;
    let caller = optional_caller();
    services().saved_forms.saved_form(caller.as_ref(), id).await.ok()
}

/// Describes the differences between the input and the stored object. Empty if the
/// input is invalid or missing.
pub(crate) fn differs<T: serde::Serialize, E>(
    stored: &serde_json::Value,
    typed: Option<Result<T, E>>,
) -> String {
    let typed = typed.and_then(Result::ok).and_then(|typed| serde_json::to_value(typed).ok());
    typed.map(|typed| differences(stored, &typed)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::next_of;
    use crate::url::percent_encode;

    #[test]
    fn next_page_is_local() {
        let suites = "/suites/new?all=1";
        assert_eq!(next_of(&format!("saved_form=7&next={}", percent_encode(suites))), suites);
        for query in ["", "next=", "next=//evil.example", "next=%2F%5Cevil", "next=https://e.x"] {
            assert_eq!(next_of(query), "/", "{query}");
        }
    }
}

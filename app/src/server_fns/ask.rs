//! What every server function needs: the port, who asks, and how a no gets
//! its HTTP status.

use crate::address::{encode, local};
use crate::components::form_data::differences;
use crate::error::{AppError, ErrorCode};
use crate::services::{Caller, Rejected, Services};
use leptos::prelude::{expect_context, use_context};
use leptos::server_fn::axum_export::http::{StatusCode, request::Parts};
use leptos_axum::ResponseOptions;
use leptos_router::location::Url;
use std::str::FromStr;

/// The services; the server provides them with every request.
pub(crate) fn services() -> Services {
    expect_context::<Services>()
}

/// Who asks, if somebody is signed in.
pub(crate) fn visitor() -> Option<Caller> {
    use_context::<Option<Caller>>().flatten()
}

/// Who asks. Nobody: a page goes to the sign-in page, a call from the browser
/// answers 401.
pub(crate) fn caller() -> Result<Caller, AppError> {
    visitor().ok_or_else(|| {
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
    leptos_axum::redirect(&format!("/sign-in?next={}", encode(page)));
    response.set_status(StatusCode::FOUND);
}

/// Who is signed in needs no form for it: on to where they were going.
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

/// The page that a query names as the next one, if it is one of this site.
fn next_of(query: &str) -> String {
    let next = query.split('&').find_map(|pair| pair.strip_prefix("next="));
    let next = Url::unescape(next.unwrap_or_default());
    local(&next).unwrap_or("/").to_owned()
}

/// Passes an answer on; a no sets the status of the page or call.
pub(crate) fn answered<T>(answer: Result<T, AppError>) -> Result<T, AppError> {
    if let Err(error) = &answer
        && error.code != ErrorCode::Unauthenticated
        && let Some(response) = use_context::<ResponseOptions>()
        && let Ok(status) = StatusCode::from_u16(error.code.status())
    {
        response.set_status(status);
    }
    answer
}

/// An answer as the text that travels.
pub(crate) fn json<T: serde::Serialize>(answer: Result<T, AppError>) -> Result<String, AppError> {
    let internal = |_| AppError::new(ErrorCode::Internal, "Something went wrong.");
    serde_json::to_string(&answer?).map_err(internal)
}

/// An id out of an address; anything else is simply not there.
pub(crate) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, AppError> {
    text.parse().map_err(|_| AppError::not_found(what))
}

/// Rejected input of `?draft=`; an expired one is as if there were none.
pub(crate) async fn rejected(draft: Option<&str>) -> Option<Rejected> {
    let id = draft?.parse().ok()?;
    let visitor = visitor();
    services().drafts.draft(visitor.as_ref(), id).await.ok()
}

/// Where something typed differs from what is stored; nothing where it is not
/// valid, or nothing was typed.
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
    use crate::address::encode;

    #[test]
    fn the_next_page_is_one_of_this_site() {
        let suites = "/suites/new?all=1";
        assert_eq!(next_of(&format!("draft=7&next={}", encode(suites))), suites);
        for query in ["", "next=", "next=//evil.example", "next=%2F%5Cevil", "next=https://e.x"] {
            assert_eq!(next_of(query), "/", "{query}");
        }
    }
}

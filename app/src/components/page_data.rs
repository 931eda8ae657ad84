//! Data of a page in its states (loading, loaded, failed), and notices after a
//! form was posted.

use super::browser;
use super::positional_json;
use super::title::heading;
use crate::error::{AppError, ErrorCode};
use crate::server_fns::accounts::HeaderData;
use crate::server_fns::{AnyQuery, PageError, Query, execute_query};
use crate::url::percent_encode;
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_params_map, use_query_map};
use leptos_router::params::ParamsMap;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

/// A [`Resource`] with the output of a page query.
///
/// All output types share one resource type that carries JSON text, which keeps the
/// WASM small: see [`crate::server_fns`].
pub struct QueryResource<T> {
    text: Resource<JsonResult>,
    output: PhantomData<fn() -> T>,
}

type JsonResult = Result<String, PageError>;

impl<T> Clone for QueryResource<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for QueryResource<T> {}

/// Runs a query, and again whenever `query` changes.
pub fn load<Q: Query>(query: impl Fn() -> Q + Send + Sync + 'static) -> QueryResource<Q::Output> {
    QueryResource { text: resource(Box::new(move || query().into())), output: PhantomData }
}

fn resource(query: Box<dyn Fn() -> AnyQuery + Send + Sync>) -> Resource<JsonResult> {
    Resource::new(query, execute_query)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, AppError> {
    positional_json::from_str(text).map_err(|_| {
        let detail = "The page could not read the server’s response. The server may have been updated: reload the page.";
        AppError::new(ErrorCode::Internal, detail)
    })
}

/// Runs a query once, outside of a view.
///
/// # Errors
/// The query failed or the server is unreachable.
pub async fn load_once<Q: Query>(query: Q) -> Result<Q::Output, AppError> {
    parse(&execute_query(query.into()).await?)
}

impl<T: DeserializeOwned> QueryResource<T> {
    /// The current result. For effects and inside a `Transition`.
    #[must_use]
    pub fn get(self) -> Option<Result<T, AppError>> {
        let result = self.text.get()?;
        Some(result.map_err(AppError::from).and_then(|text| parse(&text)))
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// The query failed or the server is unreachable.
    pub async fn wait(self) -> Result<T, AppError> {
        parse(&self.text.await?)
    }

    pub fn refetch(self) {
        self.text.refetch();
    }

    /// Does nothing if the page was left.
    fn refetch_if_mounted(self) {
        if self.text.try_with_untracked(|_| ()).is_some() {
            self.text.refetch();
        }
    }

    #[must_use]
    pub fn is_loaded(self) -> bool {
        self.text.with(Option::is_some)
    }
}

/// Polls while the data is unfinished. A failed poll is repeated; otherwise the page
/// would show an unfinished state forever.
pub fn poll_while<T: DeserializeOwned + 'static>(
    data: QueryResource<T>,
    interval_ms: i32,
    unfinished: fn(&T) -> bool,
) {
    Effect::new(move |polled: Option<bool>| {
        let poll = match data.get() {
            Some(Ok(seen)) => unfinished(&seen),
            Some(Err(_)) => polled == Some(true),
            None => false,
        };
        if poll {
            browser::after_ms(interval_ms, move || data.refetch_if_mounted());
        }
        poll
    });
}

/// Reloads an unfinished page without JavaScript. It is HTML text because, with
/// scripting enabled, a parser reads the content of `noscript` as text.
pub fn auto_refresh() -> AnyView {
    view! { <noscript inner_html="<meta http-equiv=\"refresh\" content=\"3\">"></noscript> }
        .into_any()
}

/// Renders `view` with the data, or an error page. Old data stays while newer data
/// loads. The view contains the heading.
pub fn when_loaded<T: DeserializeOwned + 'static>(
    data: QueryResource<T>,
    view: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    transition(data.text, Arc::new(move |text| parse(text).map(&view)), error_page)
}

/// Like [`when_loaded`] for a page that already has a heading.
pub fn section_when_loaded<T: DeserializeOwned + 'static>(
    data: QueryResource<T>,
    view: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    transition(data.text, Arc::new(move |text| parse(text).map(&view)), |error| {
        error_section(error, |title| view! { <h2>{title}</h2> }.into_any())
    })
}

type View = Arc<dyn Fn(&str) -> Result<AnyView, AppError> + Send + Sync>;

fn transition(text: Resource<JsonResult>, view: View, failed: fn(&AppError) -> AnyView) -> AnyView {
    view! {
        <Transition fallback=|| {
            view! { <p class="loading" role="status">"Loading…"</p> }
        }>
            {move || {
                let view = Arc::clone(&view);
                Suspend::new(async move {
                    let result = text.await;
                    result
                        .map_err(AppError::from)
                        .and_then(|text| view(&text))
                        .unwrap_or_else(|error| failed(&error))
                })
            }}
        </Transition>
    }
    .into_any()
}

/// What failed and what to do.
pub fn error_page(error: &AppError) -> AnyView {
    error_section(error, heading)
}

fn error_section(error: &AppError, head: fn(&'static str) -> AnyView) -> AnyView {
    let (title, hint) = match error.code {
        ErrorCode::NotFound => {
            ("Not found", "It may have been deleted, or the link is incomplete.")
        }
        ErrorCode::Unauthenticated => ("Not signed in", "Sign in to continue."),
        ErrorCode::Unavailable => {
            ("Temporarily unavailable", "Nothing is lost. Try again in a moment.")
        }
        // Trying the same URL again would fail again.
        ErrorCode::Invalid | ErrorCode::Malformed => {
            (error.code.title(), "The link contains a filter or a value that does not exist.")
        }
        _ => (error.code.title(), "Try again in a moment."),
    };
    let action = match error.code {
        ErrorCode::NotFound => view! { <a class="button" href="/">"Home"</a> }.into_any(),
        ErrorCode::Unauthenticated => {
            // The header may still show the expired session.
            if let Some(session) = use_context::<QueryResource<HeaderData>>() {
                Effect::new(move || session.refetch());
            }
            let url = use_location();
            let (path, search) = (url.pathname.get_untracked(), url.search.get_untracked());
            let separator = if search.is_empty() { "" } else { "?" };
            let href =
                format!("/sign-in?next={}", percent_encode(&format!("{path}{separator}{search}")));
            view! { <a class="button" href=href rel="external">"Sign in"</a> }.into_any()
        }
        ErrorCode::Invalid | ErrorCode::Malformed => {
            view! { <a class="button" href="?" rel="external">"Clear filters"</a> }.into_any()
        }
        _ => view! { <a class="button" href="" rel="external">"Try again"</a> }.into_any(),
    };
    let log_id = error.log_id.clone().map(|id| {
        view! { <p class="hint">"If this keeps happening, give the operator of this server this log ID: " <code>{id}</code></p> }
    });
    view! {
        <section class="empty">
            {head(title)}
            <p>{error.detail.clone()}</p>
            <p class="hint">{hint}</p>
            {log_id}
            {action}
        </section>
    }
    .into_any()
}

/// The link to the next page of the list at `url`, which contains the filters.
pub fn next_page_link(url: &str, next: Option<String>) -> AnyView {
    let next = next.map(|next| with_query(url, &[("after", &next)]));
    next.map(|href| view! { <p><a href=href>"Next page"</a></p> }).into_any()
}

/// A path with query parameters. Parameters without a value are omitted.
#[must_use]
pub fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&format!("{name}={}", percent_encode(value)));
    }
    url
}

/// A parameter of the route, such as `id`.
#[must_use]
pub fn route_param(name: &'static str) -> Memo<Option<String>> {
    let params = use_params_map();
    Memo::new(move |_| params.with(|params| params.get(name)))
}

/// A parameter of the query.
#[must_use]
pub fn query_param(name: &'static str) -> Memo<Option<String>> {
    let query = use_query_map();
    Memo::new(move |_| query.with(|query| query.get(name)))
}

/// The id of the saved form that the page shows.
#[must_use]
pub fn saved_form_param() -> Memo<Option<String>> {
    let query = use_query_map();
    Memo::new(move |_| query.with(saved_form_of))
}

/// The id of the saved form in a query. Earlier versions named the parameter `draft`, and a
/// link lives as long as its form, so that name is read, too.
#[must_use]
pub fn saved_form_of(query: &ParamsMap) -> Option<String> {
    query.get("saved_form").or_else(|| query.get("draft"))
}

/// An empty state: what it means and what to do.
pub fn empty_state(title: &'static str, text: &'static str, action: AnyView) -> AnyView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            <p>{text}</p>
            {action}
        </section>
    }
    .into_any()
}

/// The notice of `?notice=`, shown once after a form was posted.
pub fn notice() -> AnyView {
    let code = query_param("notice");
    let text = move || code.get().and_then(|code| notice_text(&code));
    view! {
        <div role="status">
            {move || text().map(|text| view! { <p class="notice">{text}</p> })}
        </div>
    }
    .into_any()
}

/// The text of a notice. Unknown codes have none.
fn notice_text(code: &str) -> Option<&'static str> {
    Some(match code {
        "saved" => "Saved.",
        "created" => "Created.",
        "deleted" => "Deleted. Past runs are kept.",
        "duplicated" => "You are editing the copy. The original is unchanged.",
        "token_created" | "token-created" => "Token created.",
        "token_deleted" | "token-deleted" => {
            "Token deleted. Programs that use it can no longer authenticate."
        }
        "cancelled" | "cancelling" => "Cancellation requested. The transcript so far is kept.",
        "evaluating" | "judging" => "Rejudging the transcript. The run keeps its original verdict.",
        "session_ended" => "The session was signed out.",
        "password_changed" => "Password changed. All other sessions were signed out.",
        "signed_out" | "signed-out" => "You are signed out.",
        "signed_out_everywhere" => "You are signed out everywhere.",
        "signed_up" | "signed-up" => "Welcome. Your account is ready.",
        "replayed" => "Already started: this is the existing suite.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{ParamsMap, saved_form_of};
    use rstest::rstest;

    #[rstest]
    #[case(&[("saved_form", "7")], Some("7"))]
    #[case(&[("draft", "7")], Some("7"))]
    #[case(&[("draft", "1"), ("saved_form", "7")], Some("7"))]
    #[case(&[("next", "7")], None)]
    fn saved_form_is_read_by_both_names(
        #[case] query: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        let query: ParamsMap =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(saved_form_of(&query).as_deref(), expected);
    }
}

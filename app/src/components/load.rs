//! Data of a page: while it comes, when it is there, when it could not be
//! had, and one-off messages after a form.

use super::browser;
use super::compact;
use super::title::heading;
use crate::address::encode;
use crate::error::{AppError, ErrorCode};
use crate::server_fns::accounts::Visitor;
use crate::server_fns::{AnyQuery, PageError, PageQuery, read};
use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

/// What a page asked, and the answer once it is there.
///
/// Inside it is always the same resource of a text, whatever the type: see
/// [`crate::server_fns`].
pub struct Data<T> {
    text: Resource<Answered>,
    kind: PhantomData<fn() -> T>,
}

type Answered = Result<String, PageError>;

impl<T> Clone for Data<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Data<T> {}

/// Asks, and asks anew whenever `what` changes.
pub fn ask<Q: PageQuery>(query: impl Fn() -> Q + Send + Sync + 'static) -> Data<Q::Output> {
    Data { text: resource(Box::new(move || query().into())), kind: PhantomData }
}

fn resource(what: Box<dyn Fn() -> AnyQuery + Send + Sync>) -> Resource<Answered> {
    Resource::new(what, read)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, AppError> {
    compact::from_str(text).map_err(|_| {
        let detail = "The answer could not be read: the server may be newer than this page.";
        AppError::new(ErrorCode::Internal, detail)
    })
}

/// Asks once, outside of any view.
///
/// # Errors
/// The server's no, or that it could not be reached.
pub async fn ask_once<Q: PageQuery>(query: Q) -> Result<Q::Output, AppError> {
    parse(&read(query.into()).await?)
}

impl<T: DeserializeOwned> Data<T> {
    /// The answer as it is known; for effects, and below a `Transition`.
    #[must_use]
    pub fn get(self) -> Option<Result<T, AppError>> {
        let answer = self.text.get()?;
        Some(answer.map_err(AppError::from).and_then(|text| parse(&text)))
    }

    /// The answer, waited for.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn wait(self) -> Result<T, AppError> {
        parse(&self.text.await?)
    }

    /// Asks again.
    pub fn refetch(self) {
        self.text.refetch();
    }

    /// Asks again, unless its page is left already.
    fn again_if_there(self) {
        if self.text.try_with_untracked(|_| ()).is_some() {
            self.text.refetch();
        }
    }

    /// Whether there is an answer.
    #[must_use]
    pub fn is_there(self) -> bool {
        self.text.with(Option::is_some)
    }
}

/// Asks again every few seconds as long as the page shows something unfinished,
/// and after a no: what is over would be shown as running until somebody reloads.
pub fn follow<T: DeserializeOwned + 'static>(data: Data<T>, unfinished: fn(&T) -> bool) {
    Effect::new(move |before: Option<bool>| {
        let again = match data.get() {
            Some(Ok(seen)) => unfinished(&seen),
            // What could not be had once may be there the next time.
            Some(Err(_)) => before == Some(true),
            None => false,
        };
        if again {
            browser::later(3000, move || data.again_if_there());
        }
        again
    });
}

/// Shows `view` of the data once it is there, or why it could not be had.
/// While newer data comes the old stays. The heading is the view's own.
pub fn loaded<T: DeserializeOwned + 'static>(
    data: Data<T>,
    view: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    shown(data.text, Arc::new(move |text| parse(text).map(&view)), error_page)
}

/// The same below a heading that stands already.
pub fn loaded_below<T: DeserializeOwned + 'static>(
    data: Data<T>,
    view: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    shown(data.text, Arc::new(move |text| parse(text).map(&view)), |error| {
        error_section(error, |title| view! { <h2>{title}</h2> }.into_any())
    })
}

type View = Arc<dyn Fn(&str) -> Result<AnyView, AppError> + Send + Sync>;

fn shown(text: Resource<Answered>, view: View, failed: fn(&AppError) -> AnyView) -> AnyView {
    view! {
        <Transition fallback=|| {
            view! { <p class="loading" role="status">"Loading…"</p> }
        }>
            {move || {
                let view = Arc::clone(&view);
                Suspend::new(async move {
                    let answer = text.await;
                    answer
                        .map_err(AppError::from)
                        .and_then(|text| view(&text))
                        .unwrap_or_else(|error| failed(&error))
                })
            }}
        </Transition>
    }
    .into_any()
}

/// A page that could not be had: what failed and what to do.
pub fn error_page(error: &AppError) -> AnyView {
    error_section(error, heading)
}

fn error_section(error: &AppError, head: fn(&'static str) -> AnyView) -> AnyView {
    let (title, hint) = match error.code {
        ErrorCode::NotFound => {
            ("Not found", "It may have been deleted, or the link is not complete.")
        }
        ErrorCode::Unauthenticated => ("Not signed in", "Sign in to go on."),
        ErrorCode::Unavailable => {
            ("Not available at the moment", "Nothing is lost. Try again in a moment.")
        }
        // The same address can only be refused again.
        ErrorCode::Invalid | ErrorCode::Malformed => {
            (error.code.title(), "The address asks for something that there is not.")
        }
        _ => (error.code.title(), "Try again in a moment."),
    };
    let action = match error.code {
        ErrorCode::NotFound => {
            view! { <a class="button" href="/">"To the first page"</a> }.into_any()
        }
        ErrorCode::Unauthenticated => {
            // The header still names whoever was signed in.
            if let Some(session) = use_context::<Data<Visitor>>() {
                Effect::new(move || session.refetch());
            }
            let at = use_location();
            let (path, search) = (at.pathname.get_untracked(), at.search.get_untracked());
            let mark = if search.is_empty() { "" } else { "?" };
            let href = format!("/sign-in?next={}", encode(&format!("{path}{mark}{search}")));
            view! { <a class="button" href=href rel="external">"Sign in"</a> }.into_any()
        }
        ErrorCode::Invalid | ErrorCode::Malformed => {
            view! { <a class="button" href="?" rel="external">"Clear filters"</a> }.into_any()
        }
        _ => view! { <a class="button" href="" rel="external">"Try again"</a> }.into_any(),
    };
    let log_id = error.log_id.clone().map(|id| {
        view! { <p class="hint">"For whoever runs this server: look for " <code>{id}</code> " in the log."</p> }
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

/// Nothing there: what that means, and what to do now.
pub fn empty(title: &'static str, text: &'static str, action: AnyView) -> AnyView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            <p>{text}</p>
            {action}
        </section>
    }
    .into_any()
}

/// The one-off message of `?notice=`.
pub fn notice() -> AnyView {
    let query = use_query_map();
    let text = move || query.with(|query| query.get("notice").and_then(|code| words(&code)));
    view! {
        <div role="status">
            {move || text().map(|text| view! { <p class="notice">{text}</p> })}
        </div>
    }
    .into_any()
}

/// Words of a notice; unknown codes say nothing.
fn words(code: &str) -> Option<&'static str> {
    Some(match code {
        "saved" => "Saved.",
        "created" => "Created.",
        "deleted" => "Deleted. Its history stays.",
        "duplicated" => "This is the copy. Change what you like; the original stays as it is.",
        "token_created" | "token-created" => "The token is made.",
        "token_deleted" | "token-deleted" => {
            "The token is gone. Programs that use it are signed out."
        }
        "cancelled" | "cancelling" => "Asked to stop. What was said so far is kept.",
        "evaluating" | "judging" => {
            "The transcript is being judged again. The run keeps its verdict."
        }
        "signed_out" | "signed-out" => "You are signed out.",
        "signed_up" | "signed-up" => "Welcome. Your account is ready.",
        "replayed" => "This was started before; here it is.",
        _ => return None,
    })
}

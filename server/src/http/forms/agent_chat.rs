//! The chat with an agent. The page posts the whole conversation with each message, and the
//! answer is stored like the input of a form, for the page that shows it. The editor of a
//! deployed agent posts its unsaved input together with one message.

use super::{
    PostedForm, redirect, redirect_with_problems, see_other, store_problems, without_secrets,
};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use crate::http::problem::ErrorResponse;
use app::components::form_data::{editable_draft, field_id};
use app::pages::agents::trial::POINTER_FIELDS;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use conversation::scenario_of_conversation;
use domain::error::{AppError, ErrorCode};
use domain::http_agent::without_hidden_fields;
use domain::services::{AgentChat, AppResult, ChatSession, SavedForm};
use domain::{AgentId, Draft, ScenarioSpec, Turn, limits};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/agents/trial", post(try_message))
        .route("/forms/agents/trial/pointer", post(set_pointer))
        .route("/forms/agents/{id}/chat", post(send))
        .route("/forms/agents/{id}/chat/end", post(end))
        .route("/forms/agents/{id}/chat/scenario", post(to_scenario))
}

fn page(id: AgentId) -> String {
    format!("/agents/{id}/chat")
}

async fn send(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let answer = match conversation(&form) {
        Ok((turns, session)) => {
            let message = form.text("message");
            user.services.chats.answer(&user.caller, id, turns, &message, session).await
        }
        Err(error) => Err(error),
    };
    show_answer(&user, id, form, answer).await
}

/// Ends the session with a deployed agent.
async fn end(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let ended = match conversation(&form) {
        Ok((turns, session)) => user.services.chats.end(&user.caller, id, turns, session).await,
        Err(error) => Err(error),
    };
    show_answer(&user, id, form, ended).await
}

async fn show_answer(
    user: &SignedIn,
    id: AgentId,
    form: PostedForm,
    answer: AppResult<AgentChat>,
) -> Response {
    match answer {
        Ok(AgentChat { turns, error, ended, session }) => {
            let session = session.map(|session| json!(session).to_string());
            let draft = json!({
                "conversation": serde_json::to_string(&turns).unwrap_or_default(),
                "session": session,
                "awaits_answer": error.is_some(),
                "ended": ended,
            });
            let detail = error.unwrap_or_default();
            let shown = SavedForm { draft: Draft(draft), detail, ..SavedForm::default() };
            show(user, &page(id), &shown).await
        }
        Err(error) => {
            let forms = &*user.services.saved_forms;
            store_problems(forms, Some(&user.caller), form.draft, &page(id), error).await
        }
    }
}

/// Sends one message with the unsaved input of the editor, which shows the input again
/// together with what came.
async fn try_message(user: SignedIn, mut form: PostedForm) -> Response {
    const PAGE: &str = "/agents/new";
    let draft = without_hidden_fields(&form.draft);
    let message = form.text("trial_message");
    let tried = user.services.chats.try_message(&user.caller, &draft, &message).await;
    match tried {
        Ok(trial) => {
            form.draft.0["trial"] = json!(trial).to_string().into();
            show_editor(&user, form, PAGE, "trial").await
        }
        Err(mut error) => {
            for problem in &mut error.problems {
                if problem.path == "message" {
                    "trial_message".clone_into(&mut problem.path);
                }
            }
            redirect_with_problems(&user, form, PAGE, error).await
        }
    }
}

/// Sets the chosen pointer to the chosen value, for pages without scripts.
async fn set_pointer(user: SignedIn, mut form: PostedForm) -> Response {
    let (target, pointer) = (form.text("pointer_target"), form.text("pointer"));
    let known = POINTER_FIELDS.iter().find(|(path, _)| *path == target);
    if let Some((path, _)) = known {
        set_text(&mut form.draft.0, path, pointer);
    }
    show_editor(&user, form, "/agents/new", &field_id(&target)).await
}

/// Sets a text at a path such as `http.response.text`.
fn set_text(value: &mut Value, path: &str, text: String) {
    let mut at = value;
    for step in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[step];
    }
    *at = Value::String(text);
}

/// Stores the input without validation and opens its page at an element.
async fn show_editor(user: &SignedIn, form: PostedForm, page: &str, element: &str) -> Response {
    let page = form.page.as_deref().unwrap_or(page);
    let draft = without_secrets(form.draft);
    let shown = SavedForm { draft, ..SavedForm::default() };
    match user.services.saved_forms.save_form(Some(&user.caller), &shown).await {
        Ok(id) => {
            let location = redirect::with_saved_form(page, id);
            see_other(&format!("{location}#{element}"))
        }
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// Opens the editor of a new scenario with what the user said in the chat.
async fn to_scenario(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let agent = user.services.agents.agent(&user.caller, id).await;
    let draft = agent.and_then(|agent| {
        let draft = scenario_of_conversation(&agent.spec.name, &conversation(&form)?.0);
        let spec = ScenarioSpec::parse(&draft).map_err(AppError::invalid)?;
        Ok(editable_draft(serde_json::to_value(&spec).unwrap_or_default()))
    });
    match draft {
        Ok(draft) => {
            let shown = SavedForm { draft, ..SavedForm::default() };
            show(&user, "/scenarios/new", &shown).await
        }
        Err(error) => {
            let forms = &*user.services.saved_forms;
            store_problems(forms, Some(&user.caller), form.draft, &page(id), error).await
        }
    }
}

async fn show(user: &SignedIn, page: &str, shown: &SavedForm) -> Response {
    match user.services.saved_forms.save_form(Some(&user.caller), shown).await {
        Ok(id) => see_other(&redirect::with_saved_form(page, id)),
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// The conversation and the session that the page holds.
fn conversation(form: &PostedForm) -> AppResult<(Vec<Turn>, Option<ChatSession>)> {
    let (turns, session) = (form.text("conversation"), form.text("session"));
    if turns.len() + session.len() > limits::CHAT_BYTES {
        let detail = "This chat has become too long. Start over, or turn it into a scenario.";
        return Err(AppError::new(ErrorCode::TooLarge, detail));
    }
    Ok((parse_held(&turns)?.unwrap_or_default(), parse_held(&session)?))
}

/// Parses what the page holds; `None` before the first answer.
fn parse_held<T: DeserializeOwned>(text: &str) -> AppResult<Option<T>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|_| {
        let detail = "The conversation could not be read. Start over.";
        AppError::new(ErrorCode::Malformed, detail)
    })
}

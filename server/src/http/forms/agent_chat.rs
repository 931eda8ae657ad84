//! The chat with an agent. The page posts the whole conversation with each message, and the
//! answer is stored like the input of a form, for the page that shows it.

use super::{PostedForm, redirect, see_other, store_problems};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Id;
use crate::http::problem::ErrorResponse;
use app::components::form_data::editable_draft;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use conversation::scenario_of_conversation;
use domain::error::{AppError, ErrorCode};
use domain::services::{AgentChat, AppResult, SavedForm};
use domain::{AgentId, Draft, ScenarioSpec, Turn, limits};
use serde_json::json;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/forms/agents/{id}/chat", post(send))
        .route("/forms/agents/{id}/chat/scenario", post(to_scenario))
}

fn page(id: AgentId) -> String {
    format!("/agents/{id}/chat")
}

async fn send(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let answer = match conversation(&form) {
        Ok(turns) => {
            user.services.chats.answer(&user.caller, id, turns, &form.text("message")).await
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(AgentChat { turns, error, ended }) => {
            let draft = json!({
                "conversation": serde_json::to_string(&turns).unwrap_or_default(),
                "awaits_answer": error.is_some(),
                "ended": ended,
            });
            let detail = error.unwrap_or_default();
            let shown = SavedForm { draft: Draft(draft), detail, ..SavedForm::default() };
            show(&user, &page(id), &shown).await
        }
        Err(error) => {
            let forms = &*user.services.saved_forms;
            store_problems(forms, Some(&user.caller), form.draft, &page(id), error).await
        }
    }
}

/// Opens the editor of a new scenario with what the user said in the chat.
async fn to_scenario(user: SignedIn, Id(id): Id<AgentId>, form: PostedForm) -> Response {
    let agent = user.services.agents.agent(&user.caller, id).await;
    let draft = agent.and_then(|agent| {
        let draft = scenario_of_conversation(&agent.spec.name, &conversation(&form)?);
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

/// The conversation that the page holds.
fn conversation(form: &PostedForm) -> AppResult<Vec<Turn>> {
    let text = form.text("conversation");
    if text.len() > limits::CHAT_BYTES {
        let detail = "This chat has become too long. Start over, or turn it into a scenario.";
        return Err(AppError::new(ErrorCode::TooLarge, detail));
    }
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).map_err(|_| {
        let detail = "The conversation could not be read. Start over.";
        AppError::new(ErrorCode::Malformed, detail)
    })
}

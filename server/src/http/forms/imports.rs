//! Import forms: the files are checked and shown first, then saved.
//!
//! The documents are stored between the two steps like the input of a rejected form, so the
//! browser does not send the files again.

use super::{PostedForm, redirect, see_other, store_problems};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::problem::ErrorResponse;
use crate::http::uploads;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use domain::Draft;
use domain::error::{AppError, ErrorCode};
use domain::services::{AppResult, ImportReport, SavedForm};
use serde_json::{Value, json};
use services::document_import::{ReadFiles, set_default_connection_id, set_default_model};

const PAGE: &str = "/import";

pub(super) fn routes() -> Router<HttpState> {
    Router::new().route("/forms/import", post(check)).route("/forms/import/save", post(save))
}

/// Checks the files and redirects to the page that shows what would be imported.
async fn check(user: Result<SignedIn, ErrorResponse>, request: Request) -> Response {
    let Ok(user) = user else { return sign_in() };
    let read = match uploads::read_files(request).await {
        Ok(files) => uploads::parse_files(files).await,
        Err(error) => Err(error.into_error()),
    };
    let shown = match read {
        Ok(read) => preview(&user, read, "", "").await,
        Err(error) => Err(error),
    };
    redirect_to(&user, shown).await
}

/// Imports the documents of an earlier check.
async fn save(user: Result<SignedIn, ErrorResponse>, form: PostedForm) -> Response {
    let Ok(user) = user else { return sign_in() };
    let (connection, model) = (form.text("connection_id"), form.text("model"));
    let shown = match stored_upload(&user, &form.text("upload")).await {
        Ok(read) => import(&user, read, connection.trim(), model.trim()).await,
        Err(error) => Err(error),
    };
    redirect_to(&user, shown).await
}

fn sign_in() -> Response {
    see_other("/sign-in?next=%2Fimport")
}

async fn redirect_to(user: &SignedIn, shown: AppResult<SavedForm>) -> Response {
    let forms = &*user.services.saved_forms;
    let saved = match shown {
        Ok(shown) => forms.save_form(Some(&user.caller), &shown).await,
        Err(error) => {
            return store_problems(forms, Some(&user.caller), Draft::default(), PAGE, error).await;
        }
    };
    match saved {
        Ok(id) => see_other(&redirect::with_saved_form(PAGE, id)),
        Err(error) => ErrorResponse::from(error).into_response(),
    }
}

/// What an import would do, with the documents for the next step. They are stored as text,
/// because stored forms lose fields whose names look like secrets, and schemas of tools may
/// have such fields. Only the headers of requests are masked.
async fn preview(
    user: &SignedIn,
    read: ReadFiles,
    connection: &str,
    model: &str,
) -> AppResult<SavedForm> {
    let mut original = read.documents.clone();
    original.iter_mut().for_each(domain::mask_request_headers);
    let documents = with_defaults(read.documents.clone(), connection, model);
    let mut report = user.services.imports.import(&user.caller, documents, true).await?;
    read.complete_report(&mut report);
    let draft = json!({
        "documents": serde_json::to_string(&original).unwrap_or_default(),
        "report": report_text(&report),
        "connection_id": connection,
        "model": model,
    });
    Ok(SavedForm { draft: Draft(draft), ..SavedForm::default() })
}

/// Saves the documents. If there are problems, shows them and keeps the documents.
async fn import(
    user: &SignedIn,
    mut read: ReadFiles,
    connection: &str,
    model: &str,
) -> AppResult<SavedForm> {
    let documents = with_defaults(read.documents.clone(), connection, model);
    match user.services.imports.import(&user.caller, documents, false).await {
        Ok(mut report) => {
            read.documents.clear();
            read.complete_report(&mut report);
            let draft = Draft(json!({"report": report_text(&report)}));
            Ok(SavedForm { draft, ..SavedForm::default() })
        }
        Err(error) if error.code == ErrorCode::Invalid && !error.problems.is_empty() => {
            preview(user, read, connection, model).await
        }
        Err(error) => Err(error),
    }
}

fn with_defaults(mut documents: Vec<Draft>, connection: &str, model: &str) -> Vec<Draft> {
    if !connection.is_empty() {
        set_default_connection_id(&mut documents, connection);
    }
    if !model.is_empty() {
        set_default_model(&mut documents, model);
    }
    documents
}

fn report_text(report: &ImportReport) -> Value {
    serde_json::to_string(report).unwrap_or_default().into()
}

/// The documents and the notes of an earlier check of this user.
async fn stored_upload(user: &SignedIn, id: &str) -> AppResult<ReadFiles> {
    let expired = || {
        let detail = "The check of these files is older than a day. Select the files again.";
        AppError::new(ErrorCode::Invalid, detail)
    };
    let id = id.parse().map_err(|_| expired())?;
    let saved = user.services.saved_forms.saved_form(Some(&user.caller), id).await;
    let saved = saved.map_err(|error| match error.code {
        ErrorCode::NotFound => expired(),
        _ => error,
    })?;
    let report: ImportReport =
        serde_json::from_str(&saved.draft.text("report")).map_err(|_| expired())?;
    let documents = serde_json::from_str(&saved.draft.text("documents")).map_err(|_| expired())?;
    let ImportReport { files, notes, note_count, .. } = report;
    Ok(ReadFiles { documents, files, notes, note_count })
}

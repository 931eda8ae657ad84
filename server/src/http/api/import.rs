//! Import: agents and scenarios from YAML, JSON, recorded conversations or a
//! prompt in Markdown.

use super::Reply;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Params, body, media_type};
use crate::http::problem::Failure;
use crate::http::spawned::spawned;
use services::document_import::{Format, read};
use domain::services::ImportReport;
use domain::limits;
use domain::error::{AppError, ErrorCode};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(import))
}

/// The words of an import, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read below
struct ImportParams {
    /// Only say what would happen.
    dry_run: Option<bool>,
    /// The name of the file, for an agent made from a prompt.
    name: Option<String>,
}

/// Import agents and scenarios, all or nothing
///
/// YAML (one or many documents), JSON (an object, a list, or recorded
/// tau-bench conversations) or Markdown (an agent's prompt), told apart by the
/// content type. An agent names its connection by `connection_id`, or by
/// `connection`: its name as it is listed.
#[utoipa::path(post, path = "/import", tag = "import", params(ImportParams),
    request_body(content(
        (String = "application/yaml"),
        (serde_json::Value = "application/json"),
        (String = "text/markdown"),
    )),
    responses(
        (status = 200, description = "What would happen (dry run)", body = ImportReport),
        (status = 201, description = "What was saved", body = ImportReport),
    ))]
async fn import(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
    request: Request,
) -> Reply<(StatusCode, Json<ImportReport>)> {
    let (dry_run, name) = params
        .read(|reader| (reader.flag("dry_run", false), reader.name("name", limits::NAME, false)))?;
    let format = Format::of_media_type(&media_type(request.headers())).ok_or_else(|| {
        let sentence = "Please send YAML, JSON or Markdown, and say which in content-type.";
        Failure::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence)
    })?;
    let bytes = body(request, &()).await?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| AppError::new(ErrorCode::Malformed, "The body is not UTF-8 text."))?;
    let documents = read(&name, text, format)?;
    let services = state.services;
    let work = async move { services.imports.import(&caller, documents, dry_run).await };
    let report = spawned(&state.clock, work).await?;
    Ok((if dry_run { StatusCode::OK } else { StatusCode::CREATED }, Json(report)))
}

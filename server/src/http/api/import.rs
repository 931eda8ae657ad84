//! Import of agents and scenarios.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Params, media_type, read_body};
use crate::http::problem::ErrorResponse;
use crate::http::uploads;
use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use domain::error::{AppError, ErrorCode};
use domain::services::ImportReport;
use domain::{DraftReader, limits};
use services::document_import::{Format, ImportFile, set_default_connection, set_default_model};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(import))
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read below
struct ImportParams {
    /// Validate without saving.
    dry_run: Option<bool>,
    /// Name of the file without extension: the name of an agent that has none in the file.
    name: Option<String>,
    /// Name of the connection of agents without one.
    connection: Option<String>,
    /// Model of agents without one.
    model: Option<String>,
}

/// Import agents and scenarios, all or nothing
///
/// The content type determines how the body is read: YAML (one or more documents), JSON (an
/// object or a list), Markdown (the prompt of an agent) or `multipart/form-data` with
/// several files. An agent refers to its connection by `connection_id`, or by name in
/// `connection`.
///
/// The format of each entry is detected: documents of Rehearsal; Retell agents, LLMs,
/// conversation flows and test cases; Vapi assistants and squads; τ²-bench tasks; recorded
/// tau-bench conversations. The report lists in `notes` what could not be carried over and
/// what was inferred. Upload the policy of a τ²-bench domain together with its tasks, so
/// that its agent gets the tools.
#[utoipa::path(post, path = "/import", tag = "import", params(ImportParams),
    request_body(content(
        (String = "application/yaml"),
        (serde_json::Value = "application/json"),
        (String = "text/markdown"),
        (serde_json::Value = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "The result of the dry run", body = ImportReport),
        (status = 201, description = "The imported documents", body = ImportReport),
    ))]
async fn import(
    user: SignedIn,
    params: Params,
    request: Request,
) -> ApiResult<(StatusCode, Json<ImportReport>)> {
    let ImportRequest { dry_run, name, connection, model } = params.read(ImportRequest::read)?;
    let files = files(request, name).await?;
    let mut read = uploads::parse_files(files).await?;
    if !model.is_empty() {
        set_default_model(&mut read.documents, &model);
    }
    if !connection.is_empty() {
        set_default_connection(&mut read.documents, &connection);
    }
    let documents = std::mem::take(&mut read.documents);
    let mut report = user.services.imports.import(&user.caller, documents, dry_run).await?;
    read.complete_report(&mut report);
    Ok((if dry_run { StatusCode::OK } else { StatusCode::CREATED }, Json(report)))
}

struct ImportRequest {
    dry_run: bool,
    name: String,
    connection: String,
    model: String,
}

impl ImportRequest {
    fn read(reader: &mut DraftReader<'_>) -> Self {
        Self {
            dry_run: reader.flag("dry_run", false),
            name: reader.name("name", limits::NAME, false),
            connection: reader.name("connection", limits::NAME, false),
            model: reader.name("model", limits::NAME, false),
        }
    }
}

/// The files of the body. A body that is no form is one file with this name.
async fn files(request: Request, name: String) -> ApiResult<Vec<ImportFile>> {
    let kind = media_type(request.headers());
    if kind == "multipart/form-data" {
        return uploads::read_files(request).await;
    }
    let format = Format::of_media_type(&kind).ok_or_else(|| {
        let detail = "Send YAML, JSON or Markdown with the matching content-type, or files as \
                      multipart/form-data.";
        ErrorResponse::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    })?;
    let bytes = read_body(request, &()).await?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| AppError::new(ErrorCode::Malformed, "The request body is not valid UTF-8."))?;
    Ok(vec![ImportFile { name, text: text.to_owned(), format }])
}

//! Import of agents and scenarios.

use super::ApiResult;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Params, media_type, read_body};
use crate::http::problem::ErrorResponse;
use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use domain::error::{AppError, ErrorCode};
use domain::limits;
use domain::services::ImportReport;
use services::document_import::{Format, read};
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
    /// Name of an agent that is imported from a Markdown prompt.
    name: Option<String>,
}

/// Import agents and scenarios, all or nothing
///
/// The content type determines the format: YAML (one or more documents), JSON (an
/// object, a list, or recorded tau-bench conversations) or Markdown (the prompt of an
/// agent). An agent refers to its connection by `connection_id`, or by name in
/// `connection`.
#[utoipa::path(post, path = "/import", tag = "import", params(ImportParams),
    request_body(content(
        (String = "application/yaml"),
        (serde_json::Value = "application/json"),
        (String = "text/markdown"),
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
    let (dry_run, name) = params
        .read(|reader| (reader.flag("dry_run", false), reader.name("name", limits::NAME, false)))?;
    let format = Format::of_media_type(&media_type(request.headers())).ok_or_else(|| {
        let detail = "Send YAML, JSON or Markdown with the matching content-type.";
        ErrorResponse::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    })?;
    let bytes = read_body(request, &()).await?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| AppError::new(ErrorCode::Malformed, "The request body is not valid UTF-8."))?;
    let documents = read(&name, text, format)?;
    let report = user.services.imports.import(&user.caller, documents, dry_run).await?;
    Ok((if dry_run { StatusCode::OK } else { StatusCode::CREATED }, Json(report)))
}

//! `GET /v1/models`, in the format that both protocols share.

use crate::server::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// Lists the models of the script; 404 if it has none, as servers without such a list.
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let script = shared.script();
    if script.models.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let models: Vec<Value> =
        script.models.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
    Json(json!({ "object": "list", "data": models, "has_more": false })).into_response()
}

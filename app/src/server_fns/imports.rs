//! The import page.

use super::ConnectionChoice;
#[cfg(feature = "ssr")]
use super::{ImportQuery, request};
use crate::domain::Problems;
#[cfg(feature = "ssr")]
use crate::error::AppError;
use crate::services::ImportReport;
use serde::{Deserialize, Serialize};

/// The data of the import page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportData {
    /// What was or would be imported.
    pub report: Option<ImportReport>,
    /// Why the files could not be read.
    pub detail: String,
    pub problems: Problems,
    /// The stored upload that can be saved.
    pub upload: String,
    /// The selected connection and model for agents without one.
    pub connection_id: String,
    pub model: String,
    pub connections: Vec<ConnectionChoice>,
}

/// The form, and the result of the step before.
#[cfg(feature = "ssr")]
pub(super) async fn import_page(
    ImportQuery { saved_form }: ImportQuery,
) -> Result<ImportData, AppError> {
    let caller = request::caller()?;
    let saved = request::rejected(saved_form.as_deref()).await.unwrap_or_default();
    let report: Option<ImportReport> = serde_json::from_str(&saved.draft.text("report")).ok();
    let can_be_saved = report.as_ref().is_some_and(|report| report.dry_run);
    Ok(ImportData {
        report,
        detail: saved.detail,
        problems: saved.problems,
        upload: saved_form.filter(|_| can_be_saved).unwrap_or_default(),
        connection_id: saved.draft.text("connection_id"),
        model: saved.draft.text("model"),
        connections: super::settings::choices(&caller, false).await?,
    })
}

//! The variables with which the suite of a run was started.

use super::document;
use crate::cell::RowReader;
use crate::sqlite_error::DbResult;
use domain::{ProfileId, SuiteId};
use sqlx::SqliteConnection;
use store::StoreResult;
use store::queue::{StoredProfile, StoredVariables};

/// `None` if the texts of the suite are used as they are.
pub(super) async fn read_variables(
    c: &mut SqliteConnection,
    suite: SuiteId,
) -> StoreResult<Option<StoredVariables>> {
    let stored = sqlx::query!(
        "SELECT s.space_id, s.variables_at, s.profile_id, r.body, r.secrets FROM suites s \
         LEFT JOIN profile_revisions r \
         ON r.profile_id = s.profile_id AND r.revision = s.profile_revision WHERE s.id = ?",
        suite.0,
    );
    let Some(stored) = stored.fetch_optional(c).await.db()? else { return Ok(None) };
    let row = RowReader::new("suites", &suite);
    let Some(at) = row.optional("variables_at", stored.variables_at)? else { return Ok(None) };
    let id: Option<ProfileId> = row.optional("profile_id", stored.profile_id)?;
    let profile = match id {
        None => None,
        Some(id) => Some(StoredProfile {
            space_id: row.get("space_id", stored.space_id)?,
            id,
            document: document(stored.body),
            secrets: row.optional("secrets", stored.secrets)?,
        }),
    };
    Ok(Some(StoredVariables { at, profile }))
}

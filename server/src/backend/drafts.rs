//! Rejected form input, kept so that nothing typed is lost.

use super::Rehearsal;
use super::errors::internal;
use app::backend::{Answer, Caller, Rejected};
use app::domain::{Draft, DraftId};
use app::error::AppError;
use serde_json::Value;

/// Most that is kept for somebody who is not signed in, in bytes.
const STRANGER: usize = 16 * 1024;
/// Fields that are never kept, wherever they stand.
const NEVER: [&str; 5] = ["password", "api_key", "key", "token", "secret"];

/// Takes out what must not be stored in the clear.
fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !NEVER.contains(&name.to_ascii_lowercase().as_str()));
            map.values_mut().for_each(redact);
        }
        Value::Array(entries) => entries.iter_mut().for_each(redact),
        _ => {}
    }
}

impl Rehearsal {
    /// Keeps rejected form input for a day.
    pub async fn keep_rejected(
        &self,
        caller: Option<&Caller>,
        rejected: &Rejected,
    ) -> Answer<DraftId> {
        let mut kept = rejected.clone();
        redact(&mut kept.draft.0);
        let encode = |kept: &Rejected| {
            serde_json::to_string(kept).map_err(|error| internal(&error, "keep a draft"))
        };
        let mut body = encode(&kept)?;
        if caller.is_none() && body.len() > STRANGER {
            // Strangers must not fill the disk: their problems alone are kept.
            kept.draft = Draft::default();
            kept.problems.truncate(20);
            body = encode(&kept)?;
            if body.len() > STRANGER {
                return Err(AppError::new(
                    app::error::ErrorCode::TooLarge,
                    "What was typed is too long.",
                ));
            }
        }
        let id: DraftId = self.clock.uuid().into();
        let space = caller.map(|caller| caller.space_id);
        self.stores.settings.put_draft(space, id, &body, self.clock.now()).await?;
        Ok(id)
    }

    /// Reads it again.
    pub async fn rejected(&self, caller: Option<&Caller>, id: DraftId) -> Answer<Rejected> {
        let space = caller.map(|caller| caller.space_id);
        let body = self.stores.settings.draft(space, id, self.clock.now()).await?;
        let body = body.ok_or_else(|| AppError::not_found("draft"))?;
        serde_json::from_str(&body).map_err(|error| internal(&error, "read a draft"))
    }

    /// A fresh idempotency key for a form.
    #[must_use]
    pub fn mint_key(&self) -> String {
        self.clock.uuid().to_string()
    }
}

//! Rejected form input, kept so that nothing typed is lost; and new tokens,
//! held until they are shown.

use super::Drafts;
use super::errors::internal;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, DraftService, Rejected};
use domain::{Draft, DraftId};
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

#[async_trait]
impl DraftService for Drafts {
    async fn keep_draft(&self, caller: Option<&Caller>, rejected: &Rejected) -> AppResult<DraftId> {
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
                    domain::error::ErrorCode::TooLarge,
                    "What was typed is too long.",
                ));
            }
        }
        let id: DraftId = self.clock.uuid().into();
        let space = caller.map(|caller| caller.space_id);
        self.store.put_draft(space, id, &body, self.clock.now()).await.or_app_error()?;
        Ok(id)
    }

    async fn draft(&self, caller: Option<&Caller>, id: DraftId) -> AppResult<Rejected> {
        let space = caller.map(|caller| caller.space_id);
        let body = self.store.draft(space, id, self.clock.now()).await.or_app_error()?;
        let body = body.ok_or_else(|| AppError::not_found("draft"))?;
        serde_json::from_str(&body).map_err(|error| internal(&error, "read a draft"))
    }
}

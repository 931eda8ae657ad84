//! Rejected form input, kept for a day so that nothing typed is lost.

use super::Drafts;
use super::errors::internal;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, DraftService, RejectedForm};
use domain::{Draft, DraftId};
use serde_json::Value;

/// The maximum size of a draft of a visitor who is not signed in, in bytes.
const MAX_ANONYMOUS_DRAFT: usize = 16 * 1024;
/// Fields that are never stored, at any depth.
const NEVER: [&str; 5] = ["password", "api_key", "key", "token", "secret"];

/// Removes secrets.
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
    async fn keep_draft(
        &self,
        caller: Option<&Caller>,
        rejected: &RejectedForm,
    ) -> AppResult<DraftId> {
        let mut kept = rejected.clone();
        redact(&mut kept.draft.0);
        let encode = |kept: &RejectedForm| {
            serde_json::to_string(kept).map_err(|error| internal(&error, "keep a draft"))
        };
        let mut body = encode(&kept)?;
        if caller.is_none() && body.len() > MAX_ANONYMOUS_DRAFT {
            // Visitors must not fill the disk, so only the problems are stored.
            kept.draft = Draft::default();
            kept.problems.truncate(20);
            body = encode(&kept)?;
            if body.len() > MAX_ANONYMOUS_DRAFT {
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

    async fn draft(&self, caller: Option<&Caller>, id: DraftId) -> AppResult<RejectedForm> {
        let space = caller.map(|caller| caller.space_id);
        let body = self.store.draft(space, id, self.clock.now()).await.or_app_error()?;
        let body = body.ok_or_else(|| AppError::not_found("draft"))?;
        serde_json::from_str(&body).map_err(|error| internal(&error, "read a draft"))
    }
}

//! Rejected form input, kept so that nothing typed is lost; and new tokens,
//! held until they are shown.

use crate::errors::StoreResultExt;
use super::Rehearsal;
use super::errors::internal;
use domain::backend::{Answer, Caller, Rejected};
use domain::{Draft, DraftId, SpaceId, Timestamp};
use domain::error::AppError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;

/// Most that is kept for somebody who is not signed in, in bytes.
const STRANGER: usize = 16 * 1024;
/// Fields that are never kept, wherever they stand.
const NEVER: [&str; 5] = ["password", "api_key", "key", "token", "secret"];

/// A new token waits so long for the page that shows it.
const HELD: Duration = Duration::from_secs(10 * 60);

/// A new token that was not shown yet. Never stored: at rest there is only
/// its hash.
pub(super) struct Fresh {
    id: DraftId,
    space: SpaceId,
    secret: SecretString,
    at: Timestamp,
}

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
                    domain::error::ErrorCode::TooLarge,
                    "What was typed is too long.",
                ));
            }
        }
        let id: DraftId = self.clock.uuid().into();
        let space = caller.map(|caller| caller.space_id);
        self.stores.settings.put_draft(space, id, &body, self.clock.now()).await.or_app_error()?;
        Ok(id)
    }

    /// Reads it again.
    pub async fn rejected(&self, caller: Option<&Caller>, id: DraftId) -> Answer<Rejected> {
        let space = caller.map(|caller| caller.space_id);
        let body = self.stores.settings.draft(space, id, self.clock.now()).await.or_app_error()?;
        let body = body.ok_or_else(|| AppError::not_found("draft"))?;
        serde_json::from_str(&body).map_err(|error| internal(&error, "read a draft"))
    }

    /// Holds the secret of a new token for the page that shows it.
    pub fn hold_token(&self, caller: &Caller, secret: &str) -> DraftId {
        let (id, now) = (DraftId::from(self.clock.uuid()), self.clock.now());
        let mut fresh = self.fresh.lock();
        fresh.retain(|held| now.since(held.at) < HELD);
        fresh.push(Fresh { id, space: caller.space_id, secret: secret.into(), at: now });
        id
    }

    /// Gives it out: once, in time, and to whoever made it.
    pub fn take_token(&self, caller: &Caller, id: DraftId) -> Option<String> {
        let now = self.clock.now();
        let mut fresh = self.fresh.lock();
        fresh.retain(|held| now.since(held.at) < HELD);
        let at = fresh.iter().position(|held| held.id == id && held.space == caller.space_id)?;
        Some(fresh.swap_remove(at).secret.expose_secret().to_owned())
    }

    /// A fresh idempotency key for a form.
    #[must_use]
    pub fn mint_key(&self) -> String {
        self.clock.uuid().to_string()
    }
}

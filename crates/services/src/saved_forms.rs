//! Form input that was rejected or not finished, kept for a day so that nothing typed is lost.

use super::SavedForms;
use super::errors::internal;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{AppResult, Caller, SavedForm, SavedFormService};
use domain::{Draft, SavedFormId};
use serde_json::Value;

/// The maximum size of a stored form of a visitor who is not signed in, in bytes.
const MAX_ANONYMOUS_FORM_BYTES: usize = 16 * 1024;
/// Fields that are never stored, at any depth.
const NEVER: [&str; 5] = ["password", "api_key", "key", "token", "secret"];

/// Removes secrets. A flag, such as whether a variable is secret, is none.
fn redact(value: &mut Value) {
    let is_flag = |value: &Value| match value {
        Value::Bool(_) => true,
        Value::String(text) => text == "true" || text == "false",
        _ => false,
    };
    match value {
        Value::Object(map) => {
            map.retain(|name, value| {
                !NEVER.contains(&name.to_ascii_lowercase().as_str()) || is_flag(value)
            });
            map.values_mut().for_each(redact);
        }
        Value::Array(entries) => entries.iter_mut().for_each(redact),
        _ => {}
    }
}

#[async_trait]
impl SavedFormService for SavedForms {
    async fn save_form(
        &self,
        caller: Option<&Caller>,
        rejected: &SavedForm,
    ) -> AppResult<SavedFormId> {
        let mut kept = rejected.clone();
        redact(&mut kept.draft.0);
        let encode = |kept: &SavedForm| {
            serde_json::to_string(kept).map_err(|error| internal(&error, "store a form"))
        };
        let mut body = encode(&kept)?;
        if caller.is_none() && body.len() > MAX_ANONYMOUS_FORM_BYTES {
            // Visitors must not fill the disk, so only the problems are stored.
            kept.draft = Draft::default();
            kept.problems.truncate(20);
            body = encode(&kept)?;
            if body.len() > MAX_ANONYMOUS_FORM_BYTES {
                return Err(AppError::new(
                    domain::error::ErrorCode::TooLarge,
                    "What was typed is too long.",
                ));
            }
        }
        let id: SavedFormId = self.clock.uuid().into();
        let space = caller.map(|caller| caller.space_id);
        self.store.put_saved_form(space, id, &body, self.clock.now()).await.or_app_error()?;
        Ok(id)
    }

    async fn saved_form(&self, caller: Option<&Caller>, id: SavedFormId) -> AppResult<SavedForm> {
        let space = caller.map(|caller| caller.space_id);
        let body = self.store.saved_form(space, id, self.clock.now()).await.or_app_error()?;
        let body = body.ok_or_else(|| AppError::not_found("form"))?;
        serde_json::from_str(&body).map_err(|error| internal(&error, "read a stored form"))
    }
}

#[cfg(test)]
mod tests {
    use super::redact;
    use serde_json::json;

    #[test]
    fn secrets_are_removed_at_any_depth_and_flags_stay() {
        let mut form = json!({"api_key": "k", "Token": "t", "variables": [
            {"name": "a", "secret": "true"}, {"name": "b", "secret": false}, {"secret": "s3cr3t"},
            {"key": {"a": 1}}]});
        redact(&mut form);
        let expected = json!({"variables": [{"name": "a", "secret": "true"},
            {"name": "b", "secret": false}, {}, {}]});
        assert_eq!(form, expected);
    }
}

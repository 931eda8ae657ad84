//! What an edit of a connection does with its secrets.
//!
//! A stored key or secret header is sent only to the base URL that it was entered for.
//! Otherwise a user who may edit a connection could read its key, by changing the base
//! URL to their own server and pressing "Test connection".

use super::Catalog;
use crate::endpoints::last4;
use crate::errors::internal;
use domain::error::AppError;
use domain::services::AppResult;
use domain::{ConnectionKind, ConnectionSpec, MASKED_VALUE, Problem, Problems, is_secret_header};
use std::collections::BTreeMap;
use store::catalog::{ConnectionRow, KeyEdit};

/// A valid edit.
pub(super) struct ConnectionEdit {
    pub(super) spec: ConnectionSpec,
    /// The headers of the edit with their values, also those that were masked.
    pub(super) headers: BTreeMap<String, String>,
    /// Whether calls use the same endpoint and secrets as before. Then everything
    /// learned about the connection remains valid.
    pub(super) is_same_endpoint: bool,
    /// Whether kind or base URL change.
    is_moved: bool,
}

impl ConnectionEdit {
    /// What a form does not keep and the user has to enter again.
    pub(super) fn typed_secrets(&self) -> Option<&'static str> {
        let is_secret = |(name, value): (&String, &String)| {
            value != MASKED_VALUE && is_secret_header(name, value)
        };
        match (self.spec.api_key.is_some(), self.spec.headers.iter().any(is_secret)) {
            (true, true) => Some("the key and the secret headers"),
            (true, false) => Some("the key"),
            (false, true) => Some("the secret headers"),
            (false, false) => None,
        }
    }
}

impl Catalog {
    /// Checks an edit of `known`, or of a new connection.
    pub(super) fn edit_of(
        &self,
        known: Option<&ConnectionRow>,
        spec: ConnectionSpec,
    ) -> AppResult<ConnectionEdit> {
        let is_moved =
            known.is_some_and(|row| row.kind != spec.kind || row.base_url != spec.base_url);
        let mut problems = Vec::new();
        let keeps_key =
            spec.api_key.is_none() && !spec.remove_key && spec.kind != ConnectionKind::Demo;
        if is_moved && keeps_key && known.is_some_and(|row| row.key_ciphertext.is_some()) {
            let message = "must be entered again, because the kind or the base URL changes: the \
                           stored key is not sent to another address";
            problems.push(Problem::new("api_key", message));
        }
        // Headers that cannot be decrypted have no stored value.
        let stored = known.and_then(|row| self.endpoints.headers(row).ok());
        let headers = unmask(&spec, stored.as_ref(), is_moved, &mut problems);
        if !problems.is_empty() {
            return Err(AppError::invalid(problems));
        }
        let keeps_secrets = spec.api_key.is_none() && !spec.remove_key;
        let is_same_endpoint = !is_moved && keeps_secrets && stored.as_ref() == Some(&headers);
        Ok(ConnectionEdit { spec, headers, is_same_endpoint, is_moved })
    }

    /// Sets the headers and the key of the row. Returns whether the stored key changes:
    /// without a new key it does not. It is removed on request and for the demo model,
    /// which needs none, and never kept for another address.
    pub(super) fn put_secrets(
        &self,
        row: &mut ConnectionRow,
        edit: &ConnectionEdit,
    ) -> AppResult<KeyEdit> {
        let encrypted = self.endpoints.put_headers(row, edit.headers.clone());
        encrypted.map_err(|error| internal(&error, "encrypt headers"))?;
        let spec = &edit.spec;
        if spec.kind == ConnectionKind::Demo || spec.remove_key {
            row.key_ciphertext = None;
            row.key_last4 = None;
        } else if let Some(key) = &spec.api_key {
            let encrypted = self.endpoints.encrypt(row.space_id, row.id, &key.as_str().into());
            row.key_ciphertext =
                Some(encrypted.map_err(|error| internal(&error, "encrypt a key"))?);
            row.key_last4 = last4(key);
        } else if edit.is_moved {
            row.key_ciphertext = None;
            row.key_last4 = None;
        } else {
            return Ok(KeyEdit::Keep);
        }
        Ok(KeyEdit::Replace)
    }
}

/// Replaces masks by the stored values. The demo model needs no headers, so masked ones
/// are removed.
fn unmask(
    spec: &ConnectionSpec,
    stored: Option<&BTreeMap<String, String>>,
    is_moved: bool,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut headers = spec.headers.clone();
    for name in spec.masked_headers() {
        let value = stored.and_then(|stored| stored.get(name));
        let reason = match value {
            _ if spec.kind == ConnectionKind::Demo => {
                headers.remove(name);
                continue;
            }
            Some(value) if !is_moved && value != MASKED_VALUE => {
                headers.insert(name.to_owned(), value.clone());
                continue;
            }
            Some(_) => "must be entered again, because the kind or the base URL changes",
            None => "must be entered, because none is stored",
        };
        problems.push(Problem::new("headers", format!("the value of {name} {reason}")));
    }
    headers
}

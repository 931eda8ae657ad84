//! What an edit of a connection does with its secrets.
//!
//! A stored key, secret header or secret parameter is sent only to the base URL (and the
//! token URL) that it was entered for.
//! Otherwise a user who may edit a connection could read its key, by changing the base
//! URL to their own server and pressing "Test connection".

use super::Catalog;
use crate::endpoints::last4;
use crate::errors::internal;
use domain::error::AppError;
use domain::services::AppResult;
use domain::{
    AuthScheme, ConnectionKind, ConnectionSpec, MASKED_VALUE, Problem, Problems, is_secret_header,
};
use std::collections::BTreeMap;
use store::catalog::{ConnectionRow, KeyEdit};

/// A valid edit.
pub(super) struct ConnectionEdit {
    pub(super) spec: ConnectionSpec,
    /// The headers of the edit with their values, also those that were masked.
    pub(super) headers: BTreeMap<String, String>,
    /// The query parameters of the edit, likewise.
    pub(super) query: BTreeMap<String, String>,
    /// Whether calls use the same endpoint and secrets as before. Then everything
    /// learned about the connection remains valid.
    pub(super) is_same_endpoint: bool,
    /// Whether kind, base URL or token URL change.
    is_moved: bool,
}

impl ConnectionEdit {
    /// What a form does not keep and the user has to enter again.
    pub(super) fn typed_secrets(&self) -> Option<String> {
        let is_typed = |(name, value): (&String, &String)| {
            value != MASKED_VALUE && is_secret_header(name, value)
        };
        let secret = format!("the {}", self.spec.auth.scheme.secret_name());
        let typed = [
            self.spec.api_key.is_some().then_some(secret),
            self.spec.headers.iter().any(is_typed).then(|| "the secret headers".to_owned()),
            self.spec.query.iter().any(is_typed).then(|| "the secret query parameters".to_owned()),
        ];
        let typed: Vec<String> = typed.into_iter().flatten().collect();
        (!typed.is_empty()).then(|| typed.join(" and "))
    }
}

impl Catalog {
    /// Checks an edit of `known`, or of a new connection.
    pub(super) fn edit_of(
        &self,
        known: Option<&ConnectionRow>,
        spec: ConnectionSpec,
    ) -> AppResult<ConnectionEdit> {
        let is_moved = known.is_some_and(|row| {
            row.kind != spec.kind
                || row.base_url != spec.base_url
                || row.auth.token_url != spec.auth.token_url
        });
        let mut problems = Vec::new();
        self.check_key(known, &spec, is_moved, &mut problems);
        // Values that cannot be decrypted have no stored value.
        let headers = Masked {
            field: "headers",
            values: &spec.headers,
            stored: known.and_then(|row| self.endpoints.headers(row).ok()),
        };
        let query = Masked {
            field: "query",
            values: &spec.query,
            stored: known.and_then(|row| self.endpoints.query(row).ok()),
        };
        let is_demo = spec.kind == ConnectionKind::Demo;
        let (same_headers, headers) = headers.unmask(is_demo, is_moved, &mut problems);
        let (same_query, query) = query.unmask(is_demo, is_moved, &mut problems);
        if !problems.is_empty() {
            return Err(AppError::invalid(problems));
        }
        let keeps_secrets =
            spec.api_key.is_none() && !spec.remove_key && same_headers && same_query;
        let same_auth = known.is_some_and(|row| row.auth == spec.auth);
        let is_same_endpoint = !is_moved && keeps_secrets && same_auth;
        Ok(ConnectionEdit { spec, headers, query, is_same_endpoint, is_moved })
    }

    /// Checks that there is a key where calls need one, and that no stored key is sent to
    /// another address.
    fn check_key(
        &self,
        known: Option<&ConnectionRow>,
        spec: &ConnectionSpec,
        is_moved: bool,
        problems: &mut Problems,
    ) {
        let has_stored = known.is_some_and(|row| row.key_ciphertext.is_some());
        if spec.api_key.is_some() || spec.auth.scheme == AuthScheme::None {
            return;
        }
        if spec.remove_key {
            if let Some(missing) = spec.missing_secret() {
                problems.push(Problem::new("remove_key", missing));
            }
        } else if is_moved && has_stored {
            let message = "must be entered again, because the kind, the base URL or the token URL \
                           changes: the stored key is not sent to another address";
            problems.push(Problem::new("api_key", message));
        } else if !has_stored && let Some(missing) = spec.missing_secret() {
            problems.push(Problem::new("api_key", missing));
        }
    }

    /// Sets the headers, the query and the key of the row. Returns whether the stored key
    /// changes: without a new key it does not. It is removed on request and for connections
    /// that need none, and never kept for another address.
    pub(super) fn put_secrets(
        &self,
        row: &mut ConnectionRow,
        edit: &ConnectionEdit,
    ) -> AppResult<KeyEdit> {
        let encrypted = self.endpoints.put_headers(row, edit.headers.clone());
        encrypted.map_err(|error| internal(&error, "encrypt headers"))?;
        let encrypted = self.endpoints.put_query(row, edit.query.clone());
        encrypted.map_err(|error| internal(&error, "encrypt query parameters"))?;
        let spec = &edit.spec;
        if spec.auth.scheme == AuthScheme::None || spec.remove_key {
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

/// The headers or the query parameters of an edit.
struct Masked<'a> {
    field: &'static str,
    values: &'a BTreeMap<String, String>,
    /// The stored values, if they can be read.
    stored: Option<BTreeMap<String, String>>,
}

impl Masked<'_> {
    /// Replaces masks by the stored values. The demo model needs none, so masked ones are
    /// removed. Returns whether all values are the stored ones, and the values.
    fn unmask(
        self,
        is_demo: bool,
        is_moved: bool,
        problems: &mut Problems,
    ) -> (bool, BTreeMap<String, String>) {
        let mut values = self.values.clone();
        let masked = self.values.iter().filter(|(_, value)| *value == MASKED_VALUE);
        for (name, _) in masked {
            let stored = self.stored.as_ref().and_then(|stored| stored.get(name));
            let reason = match stored {
                _ if is_demo => {
                    values.remove(name);
                    continue;
                }
                Some(value) if !is_moved && value != MASKED_VALUE => {
                    values.insert(name.clone(), value.clone());
                    continue;
                }
                Some(_) => {
                    "must be entered again, because the kind, the base URL or the token URL changes"
                }
                None => "must be entered, because none is stored",
            };
            problems.push(Problem::new(self.field, format!("the value of {name} {reason}")));
        }
        (self.stored.as_ref() == Some(&values), values)
    }
}

//! The stored secrets of connections: the key, and the secret headers and query parameters.

use crate::endpoints::Endpoints;
use crate::secrets::SecretError;
use domain::{ConnectionId, MASKED_VALUE, is_secret_header, is_secret_parameter};
use secrecy::SecretString;
use std::collections::BTreeMap;
use store::catalog::{ConnectionRow, KeyEdit, SettingStore};

/// The metadata entry that says that no secret header is stored as it is.
const HEADERS_ENCRYPTED: &str = "secret_headers_encrypted";

impl Endpoints {
    /// Encrypts a key for its row.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub fn encrypt(
        &self,
        space: domain::SpaceId,
        id: ConnectionId,
        key: &SecretString,
    ) -> Result<Vec<u8>, SecretError> {
        self.secrets.encrypt(space, id, key)
    }

    /// Encrypts the secret ones of `headers` for the row and masks them there.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub(crate) fn put_headers(
        &self,
        row: &mut ConnectionRow,
        headers: BTreeMap<String, String>,
    ) -> Result<(), SecretError> {
        let (shown, secret) = mask_secrets(headers, is_secret_header);
        let encrypt = || self.secrets.encrypt_headers(row.space_id, row.id, &secret);
        row.secret_headers = (!secret.is_empty()).then(encrypt).transpose()?;
        row.headers = shown;
        Ok(())
    }

    /// The headers of a row with their secret values.
    ///
    /// # Errors
    /// As [`Secrets::decrypt`].
    pub(crate) fn headers(
        &self,
        row: &ConnectionRow,
    ) -> Result<BTreeMap<String, String>, SecretError> {
        let mut headers = row.headers.clone();
        if let Some(stored) = &row.secret_headers {
            headers.extend(self.secrets.decrypt_headers(row.space_id, row.id, stored)?);
        }
        Ok(headers)
    }

    /// Encrypts the secret ones of `query` for the row and masks them there.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub(crate) fn put_query(
        &self,
        row: &mut ConnectionRow,
        query: BTreeMap<String, String>,
    ) -> Result<(), SecretError> {
        let (shown, secret) = mask_secrets(query, is_secret_parameter);
        let encrypt = || self.secrets.encrypt_query(row.space_id, row.id, &secret);
        row.secret_query = (!secret.is_empty()).then(encrypt).transpose()?;
        row.query = shown;
        Ok(())
    }

    /// The query parameters of a row with their secret values.
    ///
    /// # Errors
    /// As [`Secrets::decrypt`].
    pub(crate) fn query(
        &self,
        row: &ConnectionRow,
    ) -> Result<BTreeMap<String, String>, SecretError> {
        let mut query = row.query.clone();
        if let Some(stored) = &row.secret_query {
            query.extend(self.secrets.decrypt_query(row.space_id, row.id, stored)?);
        }
        Ok(query)
    }

    /// Encrypts secret headers that an older version stored as they are. Runs once per
    /// database.
    ///
    /// # Errors
    /// A message for the operator.
    pub async fn encrypt_stored_headers(&self, metadata: &dyn SettingStore) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!("cannot encrypt the headers of connections: {error}")
        };
        if metadata.metadata(HEADERS_ENCRYPTED).await.map_err(|error| failed(&error))?.is_some() {
            return Ok(());
        }
        let rows = self.store.all_connections().await.map_err(|error| failed(&error))?;
        for mut row in rows.into_iter().filter(|row| row.secret_headers.is_none()) {
            let headers = std::mem::take(&mut row.headers);
            self.put_headers(&mut row, headers).map_err(|error| failed(&error))?;
            if row.secret_headers.is_some() {
                let stored = self.store.update_connection(&row, KeyEdit::Keep, None).await;
                stored.map_err(|error| failed(&error))?;
            }
        }
        let done = metadata.put_metadata(HEADERS_ENCRYPTED, &[1]).await;
        done.map_err(|error| failed(&error))
    }
}

/// Separates the secret values: the masked ones to show, and the secret ones.
fn mask_secrets(
    values: BTreeMap<String, String>,
    is_secret: fn(&str, &str) -> bool,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut shown, mut secret) = (values, BTreeMap::new());
    for (name, value) in &mut shown {
        if is_secret(name, value) {
            secret.insert(name.clone(), std::mem::replace(value, MASKED_VALUE.to_owned()));
        }
    }
    (shown, secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secrets;
    use domain::Timestamp;
    use std::sync::Arc;
    use store::accounts::AccountStore;
    use store::catalog::ConnectionStore;
    use uuid::Uuid;

    #[tokio::test]
    async fn secret_headers_of_an_older_version_are_encrypted_once() {
        let (_folder, store) = store_sqlite::testing::open().await;
        let owner = store::contract::person(1, "anna@example.org");
        store.create_user(&owner, false).await.unwrap();
        let store = Arc::new(store);
        let headers = [("X-Team", "support"), ("X-Token", "very-secret")];
        let headers: BTreeMap<String, String> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let row = ConnectionRow {
            headers: headers.clone(),
            key_ciphertext: Some(vec![1, 2, 3]),
            updated_at: Timestamp(5),
            ..store::contract::connection(ConnectionId(Uuid::from_u128(2)), owner.space_id)
        };
        store.create_connection(&row).await.unwrap();
        let endpoints = Endpoints::new(store.clone(), Arc::new(Secrets::new(&[1; 32])), Vec::new());
        for _ in 0..2 {
            endpoints.encrypt_stored_headers(store.as_ref()).await.unwrap();
            let stored = store.connection(row.space_id, row.id).await.unwrap().unwrap();
            assert_eq!(stored.headers["X-Token"], MASKED_VALUE);
            assert_eq!(stored.headers["X-Team"], "support");
            assert_eq!(endpoints.headers(&stored), Ok(headers.clone()));
            assert_eq!(stored.key_ciphertext, row.key_ciphertext, "nothing else changes");
            assert_eq!(stored.updated_at, row.updated_at);
        }
    }
}

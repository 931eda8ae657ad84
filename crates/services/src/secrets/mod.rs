//! Encrypted API keys, passwords, tokens, and random bytes from the operating
//! system.
//!
//! A stored key is `version (1 byte) | key id (8) | nonce (24) | ciphertext`,
//! XChaCha20-Poly1305 with space and connection as associated data, so that a
//! ciphertext copied to another row cannot be decrypted.

mod common_passwords;
mod hash_queue;
mod key_file;
mod passwords;
mod tokens;
mod variables;

pub use passwords::{PasswordError, Passwords, password_problem};
pub use tokens::{new_token, token_hash};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::{ConnectionId, SpaceId};
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use store::catalog::SettingStore;
use uuid::Uuid;

/// The layout described above.
const VERSION: u8 = 1;
const KEY_ID: usize = 8;
const NONCE: usize = 24;
/// The metadata entry that shows at boot whether the key is the right one.
const KEY_CHECK: &str = "secret_key_canary";
const KEY_CHECK_TEXT: &str = "the key is the right one";

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Why a secret could not be stored or read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// `REHEARSAL_SECRET_KEY` or the key file is not a key.
    #[error("the secret key must be 32 bytes in base64; make one with: openssl rand -base64 32")]
    NotAKey,
    /// The key file cannot be read or written.
    #[error("the key file {path}: {reason}")]
    File { path: String, reason: String },
    /// Encrypted with another key than the key of this server.
    #[error("this was encrypted with a secret key that the server no longer has")]
    OtherKey,
    /// The ciphertext was altered or belongs to another row.
    #[error("the stored secret is corrupt or belongs to another row")]
    Damaged,
    /// The database was created with another key.
    #[error(
        "the secret key is not the one that this database was created with; set \
         REHEARSAL_SECRET_KEY (or secret.key in the data folder) to the original key"
    )]
    WrongKey,
    /// The database is unavailable.
    #[error("the secret key could not be checked: {0}")]
    Store(String),
}

/// The key that encrypts secrets in the database.
#[derive(Clone)]
pub struct Secrets {
    cipher: XChaCha20Poly1305,
    key_id: [u8; KEY_ID],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // The prefix distinguishes the id from other hashes of the key.
        let hash: [u8; 32] =
            Sha256::new().chain_update(b"rehearsal key id").chain_update(key).finalize().into();
        let key_id = hash.first_chunk().copied().unwrap_or_default();
        Self { cipher: XChaCha20Poly1305::new(key.into()), key_id }
    }

    /// A key in base64, with or without padding, in either alphabet.
    ///
    /// # Errors
    /// `NotAKey`.
    pub fn from_base64(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let bytes = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|alphabet| alphabet.decode(text).ok())
            .ok_or(SecretError::NotAKey)?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| SecretError::NotAKey)?;
        Ok(Self::new(&key))
    }

    /// The key of the data folder, which is created at the first start.
    ///
    /// # Errors
    /// `NotAKey`, `File`.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, SecretError> {
        Self::from_base64(&key_file::load_or_create(data_dir)?)
    }

    /// Encrypts a connection's key for its row.
    ///
    /// # Errors
    /// `Damaged`, if the cipher refuses (a key of many gigabytes).
    pub fn encrypt(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        key: &SecretString,
    ) -> Result<Vec<u8>, SecretError> {
        self.encrypt_text(&row(space, connection), key)
    }

    /// Encrypts the secret headers of a connection for its row.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub fn encrypt_headers(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        headers: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, SecretError> {
        self.encrypt_map(&part(space, connection, HEADERS), headers)
    }

    /// Encrypts the secret query parameters of a connection for its row.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub fn encrypt_query(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        query: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, SecretError> {
        self.encrypt_map(&part(space, connection, QUERY), query)
    }

    fn encrypt_map(
        &self,
        aad: &[u8],
        values: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, SecretError> {
        let text = serde_json::to_string(values).map_err(|_| SecretError::Damaged)?;
        self.encrypt_text(aad, &text.into())
    }

    fn encrypt_text(&self, aad: &[u8], text: &SecretString) -> Result<Vec<u8>, SecretError> {
        let nonce: [u8; NONCE] = random();
        let payload = Payload { msg: text.expose_secret().as_bytes(), aad };
        let sealed =
            self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Damaged)?;
        Ok([&[VERSION], &self.key_id[..], &nonce[..], &sealed[..]].concat())
    }

    /// Decrypts a connection's key.
    ///
    /// # Errors
    /// `OtherKey`, or `Damaged` for anything but the ciphertext of this row.
    pub fn decrypt(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        stored: &[u8],
    ) -> Result<SecretString, SecretError> {
        self.decrypt_text(&row(space, connection), stored)
    }

    /// Decrypts the secret headers of a connection.
    ///
    /// # Errors
    /// As [`Secrets::decrypt`].
    pub fn decrypt_headers(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        stored: &[u8],
    ) -> Result<BTreeMap<String, String>, SecretError> {
        self.decrypt_map(&part(space, connection, HEADERS), stored)
    }

    /// Decrypts the secret query parameters of a connection.
    ///
    /// # Errors
    /// As [`Secrets::decrypt`].
    pub fn decrypt_query(
        &self,
        space: SpaceId,
        connection: ConnectionId,
        stored: &[u8],
    ) -> Result<BTreeMap<String, String>, SecretError> {
        self.decrypt_map(&part(space, connection, QUERY), stored)
    }

    fn decrypt_map(
        &self,
        aad: &[u8],
        stored: &[u8],
    ) -> Result<BTreeMap<String, String>, SecretError> {
        let text = self.decrypt_text(aad, stored)?;
        serde_json::from_str(text.expose_secret()).map_err(|_| SecretError::Damaged)
    }

    fn decrypt_text(&self, aad: &[u8], stored: &[u8]) -> Result<SecretString, SecretError> {
        let (version, rest) = stored.split_first().ok_or(SecretError::Damaged)?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID).ok_or(SecretError::Damaged)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(SecretError::Damaged)?;
        if *version != VERSION {
            return Err(SecretError::Damaged);
        }
        if key_id != self.key_id {
            return Err(SecretError::OtherKey);
        }
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| SecretError::Damaged)?;
        let payload = Payload { msg: sealed, aad };
        let opened =
            self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Damaged)?;
        String::from_utf8(opened).map(SecretString::from).map_err(|_| SecretError::Damaged)
    }

    /// Checks at boot that the database was created with this key. The first start
    /// stores the key check.
    ///
    /// # Errors
    /// `WrongKey`, `Store`.
    pub async fn check(&self, store: &dyn SettingStore) -> Result<(), SecretError> {
        let failed = |error: store::StoreError| SecretError::Store(error.to_string());
        // The key check belongs to no connection.
        let (space, connection) = (SpaceId(Uuid::nil()), ConnectionId(Uuid::nil()));
        let Some(stored) = store.metadata(KEY_CHECK).await.map_err(failed)? else {
            let encrypted = self.encrypt(space, connection, &KEY_CHECK_TEXT.into())?;
            return store.put_metadata(KEY_CHECK, &encrypted).await.map_err(failed);
        };
        match self.decrypt(space, connection, &stored) {
            Ok(text) if text.expose_secret() == KEY_CHECK_TEXT => Ok(()),
            _ => Err(SecretError::WrongKey),
        }
    }
}

/// The associated data of a row.
fn row(space: SpaceId, connection: ConnectionId) -> Vec<u8> {
    [space.0.into_bytes(), connection.0.into_bytes()].concat()
}

/// The parts of a row that are encrypted besides its key.
const HEADERS: &[u8] = b"headers";
const QUERY: &[u8] = b"query";

/// The associated data of a part of a row, so that the parts and the key cannot be swapped.
fn part(space: SpaceId, connection: ConnectionId, part: &[u8]) -> Vec<u8> {
    [&row(space, connection)[..], part].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId(Uuid::from_u128(1));
    const CONNECTION: ConnectionId = ConnectionId(Uuid::from_u128(2));

    fn sealed(secrets: &Secrets) -> Vec<u8> {
        secrets.encrypt(SPACE, CONNECTION, &"sk-very-secret".into()).unwrap()
    }

    #[test]
    fn key_decrypts_only_in_its_row() {
        let secrets = Secrets::new(&[7; 32]);
        let stored = sealed(&secrets);
        let open = |space, connection| {
            secrets.decrypt(space, connection, &stored).map(|key| key.expose_secret().to_owned())
        };
        assert_eq!(open(SPACE, CONNECTION).as_deref(), Ok("sk-very-secret"));
        assert_eq!(open(SpaceId(Uuid::from_u128(9)), CONNECTION), Err(SecretError::Damaged));
        assert_eq!(open(SPACE, ConnectionId(Uuid::from_u128(9))), Err(SecretError::Damaged));
        assert_ne!(stored, sealed(&secrets), "never the same nonce twice");
        assert!(!stored.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn headers_decrypt_only_as_headers_of_their_row() {
        let secrets = Secrets::new(&[7; 32]);
        let headers = BTreeMap::from([("X-Token".to_owned(), "very-secret".to_owned())]);
        let stored = secrets.encrypt_headers(SPACE, CONNECTION, &headers).unwrap();
        assert!(!stored.windows(6).any(|part| part == b"secret"));
        assert_eq!(secrets.decrypt_headers(SPACE, CONNECTION, &stored), Ok(headers));
        let other = ConnectionId(Uuid::from_u128(9));
        assert_eq!(secrets.decrypt_headers(SPACE, other, &stored), Err(SecretError::Damaged));
        assert!(secrets.decrypt(SPACE, CONNECTION, &stored).is_err(), "not as the key");
        assert!(secrets.decrypt_query(SPACE, CONNECTION, &stored).is_err(), "not as parameters");
        assert!(secrets.decrypt_headers(SPACE, CONNECTION, &sealed(&secrets)).is_err());
    }

    #[test]
    fn wrong_key_and_every_changed_byte_are_detected() {
        let secrets = Secrets::new(&[7; 32]);
        let stored = sealed(&secrets);
        let other = Secrets::new(&[8; 32]).decrypt(SPACE, CONNECTION, &stored);
        assert_eq!(other.err(), Some(SecretError::OtherKey));
        for at in 0..stored.len() {
            let mut changed = stored.clone();
            changed[at] ^= 1;
            assert!(secrets.decrypt(SPACE, CONNECTION, &changed).is_err(), "byte {at}");
        }
        for short in 0..stored.len() {
            assert!(secrets.decrypt(SPACE, CONNECTION, &stored[..short]).is_err(), "{short} bytes");
        }
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let text = STANDARD.encode([251; 32]);
        let stored = sealed(&Secrets::new(&[251; 32]));
        let spellings =
            [text.clone(), format!(" {text}\n"), text.replace('+', "-").replace('/', "_")];
        for spelling in spellings {
            let secrets = Secrets::from_base64(&spelling).unwrap();
            assert!(secrets.decrypt(SPACE, CONNECTION, &stored).is_ok(), "{spelling:?}");
        }
        for bad in ["", "secret", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            assert_eq!(Secrets::from_base64(bad).err(), Some(SecretError::NotAKey), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn wrong_key_is_detected_at_boot() {
        let (_folder, store) = store_sqlite::testing::open().await;
        let (right, wrong) = (Secrets::new(&[7; 32]), Secrets::new(&[8; 32]));
        right.check(&store).await.unwrap();
        right.check(&store).await.unwrap();
        assert_eq!(wrong.check(&store).await, Err(SecretError::WrongKey));
        right.check(&store).await.unwrap();
    }
}

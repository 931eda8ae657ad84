//! The secret variables of test profiles, encrypted like the secrets of connections.

use super::{SecretError, Secrets, part};
use domain::{ConnectionId, ProfileId, SpaceId};
use std::collections::BTreeMap;

/// Keeps the ciphertext of a profile from being used for a connection.
const VARIABLES: &[u8] = b"variables";

impl Secrets {
    /// Encrypts the secret variables of a test profile for its row.
    ///
    /// # Errors
    /// As [`Secrets::encrypt`].
    pub fn encrypt_variables(
        &self,
        space: SpaceId,
        profile: ProfileId,
        values: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, SecretError> {
        self.encrypt_map(&associated_data(space, profile), values)
    }

    /// Decrypts the secret variables of a test profile.
    ///
    /// # Errors
    /// As [`Secrets::decrypt`].
    pub fn decrypt_variables(
        &self,
        space: SpaceId,
        profile: ProfileId,
        stored: &[u8],
    ) -> Result<BTreeMap<String, String>, SecretError> {
        self.decrypt_map(&associated_data(space, profile), stored)
    }
}

fn associated_data(space: SpaceId, profile: ProfileId) -> Vec<u8> {
    part(space, ConnectionId(profile.0), VARIABLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn variables_decrypt_only_in_their_row() {
        let (space, profile) = (SpaceId(Uuid::from_u128(1)), ProfileId(Uuid::from_u128(2)));
        let secrets = Secrets::new(&[7; 32]);
        let values = BTreeMap::from([("pin".to_owned(), "4711-secret".to_owned())]);
        let stored = secrets.encrypt_variables(space, profile, &values).unwrap();
        assert!(!stored.windows(4).any(|part| part == b"4711"));
        assert_eq!(secrets.decrypt_variables(space, profile, &stored), Ok(values));
        let other = ProfileId(Uuid::from_u128(3));
        assert_eq!(secrets.decrypt_variables(space, other, &stored), Err(SecretError::Damaged));
        let connection = ConnectionId(profile.0);
        assert!(secrets.decrypt_headers(space, connection, &stored).is_err(), "not as headers");
    }
}

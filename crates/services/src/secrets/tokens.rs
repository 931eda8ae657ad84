//! API tokens: shown once, stored as a hash.

use super::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The prefix of every token, so that secret scanners can recognize it.
const PREFIX: &str = "rhs_";

/// A new token and its hash. 32 random bytes need no slow hash, because they
/// cannot be guessed.
#[must_use]
pub fn new_token() -> (String, [u8; 32]) {
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>()));
    let hash = Sha256::digest(&token).into();
    (token, hash)
}

/// The hash of a received token; `None` if it has the wrong format.
#[must_use]
pub fn token_hash(token: &str) -> Option<[u8; 32]> {
    let body = token.trim().strip_prefix(PREFIX)?;
    URL_SAFE_NO_PAD.decode(body).ok().filter(|bytes| bytes.len() == 32)?;
    Some(Sha256::digest(token.trim()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_hash_matches_only_its_token() {
        let (token, hash) = new_token();
        assert_eq!(token.len(), 4 + 43);
        assert_eq!(token_hash(&token), Some(hash));
        assert_eq!(token_hash(&format!(" {token}\n")), Some(hash));
        assert_ne!(new_token().1, hash);
        for bad in ["", "rhs_", "rhs_short", &token[4..], &format!("{token}x")] {
            assert_eq!(token_hash(bad), None, "{bad:?}");
        }
    }
}

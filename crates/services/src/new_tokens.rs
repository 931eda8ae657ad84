//! Secrets of new tokens, held in memory until the page shows them once. At rest
//! there is only their hash.

use domain::{DraftId, SpaceId, Timestamp};
use secrecy::SecretString;
use std::time::Duration;

/// How long a new token waits for the page that shows it.
pub(crate) const HELD: Duration = Duration::from_secs(10 * 60);

/// A new token that was not shown yet.
pub(crate) struct NewTokenSecret {
    pub(crate) id: DraftId,
    pub(crate) space: SpaceId,
    pub(crate) secret: SecretString,
    pub(crate) at: Timestamp,
}

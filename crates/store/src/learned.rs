//! What servers of models reject, kept beyond a restart.

use super::StoreResult;
use async_trait::async_trait;
use domain::{ConnectionId, Timestamp};
use std::time::Duration;

/// Rows that were not renewed for this long are deleted: servers are updated.
pub const LEARNED_TTL: Duration = Duration::from_hours(90 * 24);
/// The maximum number of rows that are read.
pub const MAX_LEARNED: u32 = 1000;

/// What one model of one server rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedRow {
    pub connection_id: ConnectionId,
    pub base_url: String,
    pub model: String,
    /// JSON that only the outbound path understands.
    pub body: String,
}

#[async_trait]
pub trait LearnedStore: Send + Sync + 'static {
    /// The newest rows, at most [`MAX_LEARNED`].
    async fn learned(&self) -> StoreResult<Vec<LearnedRow>>;
    /// Replaces the row of the model.
    async fn put_learned(&self, row: &LearnedRow, now: Timestamp) -> StoreResult<()>;
    /// Deletes the rows of a connection.
    async fn forget_learned(&self, connection: ConnectionId) -> StoreResult<()>;
}

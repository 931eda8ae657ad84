//! The id of the current request. The same id is in the response header, in an error
//! body and in the log, so that a reported error can be found in the log.

use rand::TryRng;
use rand::rngs::SysRng;
use std::future::Future;
use uuid::Uuid;

tokio::task_local! {
    static REQUEST: Uuid;
}

/// The id of the current request, if there is one.
#[must_use]
pub fn current() -> Option<Uuid> {
    REQUEST.try_with(|id| *id).ok()
}

/// Runs `work` as part of the request.
pub async fn within<T>(id: Uuid, work: impl Future<Output = T>) -> T {
    REQUEST.scope(id, work).await
}

/// Runs `work` as part of the request, if there is one. Used to continue a request in
/// another task.
pub async fn carried<T>(id: Option<Uuid>, work: impl Future<Output = T>) -> T {
    match id {
        Some(id) => within(id, work).await,
        None => work.await,
    }
}

/// The id of the current request, or a new random one.
#[must_use]
pub fn log_id() -> String {
    current().map_or_else(random_id, |id| id.to_string())
}

fn random_id() -> String {
    let mut bytes = [0_u8; 6];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system provides random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

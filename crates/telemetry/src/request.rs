//! The id of the request that is being worked on, for whoever logs an error
//! that a person will ask about: one id in the answer's header, in its body and
//! in the log.

use rand::TryRng;
use rand::rngs::SysRng;
use std::future::Future;
use uuid::Uuid;

tokio::task_local! {
    static REQUEST: Uuid;
}

/// The id, within a request.
#[must_use]
pub fn current() -> Option<Uuid> {
    REQUEST.try_with(|id| *id).ok()
}

/// Works on the request of this id.
pub async fn within<T>(id: Uuid, work: impl Future<Output = T>) -> T {
    REQUEST.scope(id, work).await
}

/// Goes on with the present request in another task.
pub async fn carried<T>(id: Option<Uuid>, work: impl Future<Output = T>) -> T {
    match id {
        Some(id) => within(id, work).await,
        None => work.await,
    }
}

/// The id under which something is logged: the request's, else a new one.
#[must_use]
pub fn log_id() -> String {
    current().map_or_else(random_id, |id| id.to_string())
}

/// A short random id in hexadecimal.
fn random_id() -> String {
    let mut bytes = [0_u8; 6];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! The current request: its id and the address of its client. The same id is in the
//! response header, in an error body and in the log, so that a reported error can be
//! found in the log.

use rand::TryRng;
use rand::rngs::SysRng;
use std::future::Future;
use std::net::IpAddr;
use uuid::Uuid;

/// The request that the current task works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestContext {
    pub id: Uuid,
    /// The address of the client, behind trusted proxies the forwarded one.
    pub client: IpAddr,
}

tokio::task_local! {
    static REQUEST: RequestContext;
}

/// The current request, if there is one.
#[must_use]
pub fn context() -> Option<RequestContext> {
    REQUEST.try_with(|context| *context).ok()
}

/// The id of the current request, if there is one.
#[must_use]
pub fn current() -> Option<Uuid> {
    context().map(|context| context.id)
}

/// The address of the client of the current request, if there is one.
#[must_use]
pub fn client() -> Option<IpAddr> {
    context().map(|context| context.client)
}

/// Runs `work` as part of the request.
pub async fn within<T>(context: RequestContext, work: impl Future<Output = T>) -> T {
    REQUEST.scope(context, work).await
}

/// Runs `work` as part of the request, if there is one. Used to continue a request in
/// another task.
pub async fn carried<T>(context: Option<RequestContext>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => within(context, work).await,
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

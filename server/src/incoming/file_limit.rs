//! The number of files that the process may open. Each connection is one.

/// Files that the process needs besides connections: the database, its log, calls to
/// providers and static files.
const RESERVED: usize = 256;

/// Raises the limit of open files so that `connections` fit, as far as the system allows.
/// Returns how many connections fit.
#[cfg(unix)]
pub(crate) fn raise(connections: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted = u64::try_from(connections.saturating_add(RESERVED)).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if limit.current.is_some_and(|current| current < allowed) {
        limit.current = Some(allowed);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fit = usize::try_from(current).unwrap_or(usize::MAX).saturating_sub(RESERVED).max(1);
    if fit < connections {
        tracing::warn!(
            connections = fit,
            "the limit of open files of this process allows fewer connections than \
             REHEARSAL_MAX_CONNECTIONS"
        );
    }
    fit.min(connections)
}

#[cfg(not(unix))]
pub(crate) fn raise(connections: usize) -> usize {
    connections
}

#[cfg(all(test, unix))]
mod tests {
    use super::raise;

    #[test]
    fn connections_never_exceed_the_setting() {
        assert_eq!(raise(1), 1);
        assert!((1..=1_000_000).contains(&raise(1_000_000)));
    }
}

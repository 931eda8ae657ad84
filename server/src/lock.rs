//! Exclusive lock of a database. The server locks a file next to the database while it
//! runs: a second engine would claim the runs of the first, and a schema migration
//! would break it.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Default file name of the database.
pub(crate) const DATABASE: &str = "rehearsal.db";

/// How long to wait for the lock. A command holds it during a schema migration.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Acquires the lock, which is held until the file is dropped. Returns `None` if another
/// process holds it for longer than [`TIMEOUT`].
///
/// # Errors
/// A message if the file cannot be created or locked.
pub(crate) async fn acquire(database: &Path) -> Result<Option<File>, String> {
    let until = Instant::now() + TIMEOUT;
    loop {
        let lock = try_acquire(database)?;
        if lock.is_some() || Instant::now() >= until {
            return Ok(lock);
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Like [`acquire`], without waiting.
///
/// # Errors
/// A message if the file cannot be created or locked.
pub(crate) fn try_acquire(database: &Path) -> Result<Option<File>, String> {
    let path = lock_path(database)
        .map_err(|error| format!("cannot find the database {}: {error}", database.display()))?;
    let file = File::create(&path)
        .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(format!("cannot lock {}: {error}", path.display())),
    }
}

/// Path of the lock file: `engine.lock` for `rehearsal.db`, else the name of the database
/// with the suffix `.lock`. Resolves links, so that each database has one lock file.
fn lock_path(database: &Path) -> io::Result<PathBuf> {
    let real = match database.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = database.file_name().ok_or(error)?;
            let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
            folder.unwrap_or(Path::new(".")).canonicalize()?.join(name)
        }
        found => found?,
    };
    let name = real.file_name().unwrap_or(OsStr::new(DATABASE));
    if name == DATABASE {
        return Ok(real.with_file_name("engine.lock"));
    }
    let mut lock = name.to_owned();
    lock.push(".lock");
    Ok(real.with_file_name(lock))
}

#[cfg(test)]
mod tests {
    use super::{lock_path, try_acquire};

    #[test]
    fn each_database_has_one_lock_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("is there");
        let inside = |name: &str| lock_path(&folder.path().join(name)).expect("a path");
        assert_eq!(inside("rehearsal.db"), real.join("engine.lock"));
        assert_eq!(inside("other.db"), real.join("other.db.lock"));
        std::fs::create_dir(folder.path().join("sub")).expect("a folder");
        assert_eq!(inside("sub/../rehearsal.db"), real.join("engine.lock"));
        assert!(lock_path(&folder.path().join("nowhere/rehearsal.db")).is_err());
        assert!(lock_path(std::path::Path::new("")).is_err());
    }

    #[test]
    fn lock_is_held_until_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one.db"), folder.path().join("two.db"));
        let held = try_acquire(&one).expect("locks");
        assert!(held.is_some());
        assert!(try_acquire(&one).expect("tries").is_none());
        assert!(try_acquire(&two).expect("locks").is_some(), "separate locks");
        drop(held);
        assert!(try_acquire(&one).expect("locks").is_some());
    }
}

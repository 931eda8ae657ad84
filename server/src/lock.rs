//! One engine a database: whoever serves it holds the lock of a file beside it
//! for as long as it runs. A second one would take the runs of the first, and
//! a schema that is changed would break it.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The name of a database that nobody gave another.
pub(crate) const DATABASE: &str = "rehearsal.db";

/// How long a lock that somebody holds is waited for: a command holds it while
/// it brings the schema up to date.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
pub(crate) const AGAIN: Duration = Duration::from_millis(50);

/// Takes the lock of this database, waiting a little; `None` when somebody
/// else keeps it. It is held until the file is dropped.
///
/// # Errors
/// A sentence when the file cannot be made or locked.
pub(crate) async fn hold(database: &Path) -> Result<Option<File>, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let held = take(database)?;
        if held.is_some() || Instant::now() >= until {
            return Ok(held);
        }
        sleep(AGAIN).await;
    }
}

/// The same at one try.
///
/// # Errors
/// A sentence when the file cannot be made or locked.
pub(crate) fn take(database: &Path) -> Result<Option<File>, String> {
    let path = beside(database).map_err(|error| {
        format!("the database {} has no place to be: {error}", database.display())
    })?;
    let file =
        File::create(&path).map_err(|e| format!("{} cannot be made: {e}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(format!("{} cannot be locked: {error}", path.display()))
        }
    }
}

/// The file that is locked: `engine.lock` beside a `rehearsal.db`, else the
/// database's own name with `.lock` after it. It follows from the database
/// alone, however its path is spelled and through whichever links.
fn beside(database: &Path) -> io::Result<PathBuf> {
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
    use super::{beside, take};

    #[test]
    fn one_database_has_one_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("is there");
        let inside = |name: &str| beside(&folder.path().join(name)).expect("a place");
        assert_eq!(inside("rehearsal.db"), real.join("engine.lock"));
        assert_eq!(inside("other.db"), real.join("other.db.lock"));
        std::fs::create_dir(folder.path().join("sub")).expect("a folder");
        assert_eq!(inside("sub/../rehearsal.db"), real.join("engine.lock"));
        assert!(beside(&folder.path().join("nowhere/rehearsal.db")).is_err());
        assert!(beside(std::path::Path::new("")).is_err());
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one.db"), folder.path().join("two.db"));
        let held = take(&one).expect("locks");
        assert!(held.is_some());
        assert!(take(&one).expect("tries").is_none());
        assert!(take(&two).expect("locks").is_some(), "each has its own");
        drop(held);
        assert!(take(&one).expect("locks").is_some());
    }
}

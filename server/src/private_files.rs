//! Keeps the data folder and its files private: they contain conversations, password
//! hashes and the secret key.

use crate::lock;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of the data folder that older versions created readable for others.
const FILES: [&str; 5] =
    [lock::DATABASE, "rehearsal.db-wal", "rehearsal.db-shm", "engine.lock", "secret.key"];

/// Makes every file that this process creates private. Called before other threads
/// start, because the setting belongs to the process.
#[cfg(unix)]
pub fn make_new_files_private() {
    use rustix::fs::Mode;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

#[cfg(not(unix))]
pub fn make_new_files_private() {}

/// Removes the permissions of other users from the data folder and its files, and from
/// a database elsewhere. Leaves a folder alone that is not only Rehearsal's.
pub(crate) fn protect(data_dir: &Path, database: &Path) {
    if is_own_folder(data_dir) {
        remove_permissions(data_dir, 0o700);
    }
    let beside = |suffix: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let database_files = ["", "-wal", "-shm", ".lock"].map(beside);
    let files = FILES.iter().map(|name| data_dir.join(name)).chain(database_files);
    for file in files.filter(|file| file.is_file()) {
        remove_permissions(&file, 0o600);
    }
}

/// Whether a folder is empty or the data folder of Rehearsal. `/tmp` with a database in
/// it is neither: a sticky folder is shared.
#[cfg(unix)]
fn is_own_folder(folder: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    const STICKY: u32 = 0o1000;
    let Ok(metadata) = fs::metadata(folder) else { return false };
    let owner = rustix::process::geteuid().as_raw();
    if metadata.permissions().mode() & STICKY != 0 || metadata.uid() != owner {
        return false;
    }
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    is_empty || FILES.iter().any(|name| folder.join(name).is_file())
}

#[cfg(unix)]
fn remove_permissions(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.permissions().mode() & 0o077 == 0 {
        return;
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        Ok(()) => tracing::info!(
            path = %path.display(),
            "removed the permissions of other users of this machine"
        ),
        // Some file systems have no permissions.
        Err(error) => tracing::warn!(
            %error,
            path = %path.display(),
            "other users of this machine can read this; restrict its permissions"
        ),
    }
}

#[cfg(not(unix))]
fn is_own_folder(_folder: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn remove_permissions(_path: &Path, _mode: u32) {}

#[cfg(all(test, unix))]
mod tests {
    use super::protect;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("sets the mode");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("is there").permissions().mode() & 0o7777
    }

    #[test]
    fn folder_of_an_older_version_becomes_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let elsewhere = folder.path().join("other.db");
        fs::create_dir(&data).expect("a folder");
        let files = ["rehearsal.db", "rehearsal.db-wal", "secret.key"].map(|name| data.join(name));
        for file in files.iter().chain([&elsewhere]) {
            fs::write(file, "x").expect("writes");
            set(file, 0o644);
        }
        set(&data, 0o755);
        set(folder.path(), 0o755);
        protect(&data, &elsewhere);
        assert_eq!(mode(&data), 0o700);
        for file in files.iter().chain([&elsewhere]) {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
        assert_eq!(mode(folder.path()), 0o755, "the folder of a database elsewhere is not ours");
    }

    #[test]
    fn shared_folder_keeps_its_permissions() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("rehearsal.db");
        fs::write(&database, "x").expect("writes");
        set(folder.path(), 0o1777);
        protect(folder.path(), &database);
        assert_eq!(mode(folder.path()), 0o1777);
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("letter.txt"), "x").expect("writes");
        set(home.path(), 0o755);
        protect(home.path(), &home.path().join("rehearsal.db"));
        assert_eq!(mode(home.path()), 0o755, "it contains something else");
    }
}

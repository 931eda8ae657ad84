//! `secret.key` in the data folder: created once, readable only by its owner.

use super::{SecretError, random};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use telemetry::request::log_id;

const NAME: &str = "secret.key";

/// The text of the key file, which is created if it is missing.
pub(super) fn load_or_create(data_dir: &Path) -> Result<String, SecretError> {
    let path = data_dir.join(NAME);
    let failed = |error: io::Error| SecretError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            warn_if_open(&path);
            return Ok(text);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    fs::create_dir_all(data_dir).map_err(failed)?;
    // Written to a temporary file and linked into place: nobody reads a partial
    // key, and two servers that start at once use the same key.
    let temporary = data_dir.join(format!("{NAME}.{}", log_id()));
    let created = write_private(&temporary, &STANDARD.encode(random::<32>()))
        .and_then(|()| fs::hard_link(&temporary, &path))
        .and_then(|()| sync_folder(data_dir));
    let _ = fs::remove_file(&temporary);
    match created {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
        _ => fs::read_to_string(&path).map_err(failed),
    }
}

/// A file name survives a power failure only after its folder is synced. Without
/// the key, everything encrypted with it is unreadable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            "the key file can be read by other users of this machine; chmod 600 it"
        );
    }
}

#[cfg(not(unix))]
fn warn_if_open(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secrets;

    #[test]
    fn key_file_is_created_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = load_or_create(&data).unwrap();
        assert_eq!(load_or_create(&data).unwrap(), first);
        Secrets::from_base64(&first).unwrap();
        let names: Vec<_> =
            fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret.key"], "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(data.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn concurrent_starts_use_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| load_or_create(folder.path()).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{} keys", keys.len());
    }

    #[test]
    fn corrupt_key_file_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "not a key").unwrap();
        let read = Secrets::load_or_create(folder.path());
        assert_eq!(read.err(), Some(SecretError::NotAKey));
        let nowhere = Secrets::load_or_create(&folder.path().join(NAME));
        assert!(matches!(nowhere, Err(SecretError::File { .. })), "a folder that is a file");
    }
}

//! Whether a step is done already: a fingerprint of what goes in, kept beside
//! what came out.
//!
//! Contents are hashed, not times: a fresh clone, a branch switched there and
//! back, or a restored cache then cost nothing.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A fingerprint in the making.
#[derive(Default)]
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds bytes under a name. Lengths are part of it, so that no two
    /// different inputs run into one another.
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Adds a file, or every file below a folder; what is absent counts as
    /// absent. Names are relative to `root`, so that a moved checkout is the
    /// same.
    pub(crate) fn path(&mut self, root: &Path, relative: &str) -> Result<()> {
        for file in files_below(&root.join(relative))? {
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            self.bytes(&name, &bytes);
        }
        Ok(())
    }

    /// Its hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// All files of a folder and its folders, sorted; the path itself if it is a
/// file; none if it is absent.
pub(crate) fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", folder.display()));
            }
        };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether `stamp` says that this fingerprint was finished.
pub(crate) fn is_done(stamp: &Path, fingerprint: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|text| text.trim() == fingerprint)
}

/// Says so, after everything else: a step that broke off has no stamp.
pub(crate) fn done(stamp: &Path, fingerprint: &str) -> Result<()> {
    fs::write(stamp, format!("{fingerprint}\n"))
        .with_context(|| format!("cannot write {}", stamp.display()))
}

/// Takes the stamp away, before a step begins.
pub(crate) fn begin(stamp: &Path) -> Result<()> {
    match fs::remove_file(stamp) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", stamp.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint_of(root: &Path) -> String {
        let mut fingerprint = Fingerprint::default();
        fingerprint.path(root, "src").unwrap();
        fingerprint.path(root, "absent").unwrap();
        fingerprint.finish()
    }

    #[test]
    fn a_fingerprint_follows_contents_and_names_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let src = folder.path().join("src/deep");
        fs::create_dir_all(&src).unwrap();
        fs::write(src.join("a.rs"), "one").unwrap();
        let first = fingerprint_of(folder.path());

        fs::write(src.join("a.rs"), "one").unwrap();
        assert_eq!(fingerprint_of(folder.path()), first, "written again with the same contents");
        fs::write(src.join("a.rs"), "two").unwrap();
        assert_ne!(fingerprint_of(folder.path()), first, "other contents");
        fs::write(src.join("a.rs"), "one").unwrap();
        fs::rename(src.join("a.rs"), src.join("b.rs")).unwrap();
        assert_ne!(fingerprint_of(folder.path()), first, "another name");
    }

    #[test]
    fn neighbours_do_not_run_into_one_another() {
        let of = |parts: &[(&str, &str)]| {
            let mut fingerprint = Fingerprint::default();
            for (name, text) in parts {
                fingerprint.bytes(name, text.as_bytes());
            }
            fingerprint.finish()
        };
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
        assert_ne!(of(&[("a", "")]), of(&[]));
    }

    #[test]
    fn a_step_that_broke_off_is_not_done() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = folder.path().join("stamp");
        begin(&stamp).unwrap();
        assert!(!is_done(&stamp, "abc"));
        done(&stamp, "abc").unwrap();
        assert!(is_done(&stamp, "abc") && !is_done(&stamp, "abd"));
        begin(&stamp).unwrap();
        assert!(!is_done(&stamp, "abc"));
    }
}

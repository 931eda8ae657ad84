//! Fingerprints of the inputs of a step, stored next to its output, so that a step
//! whose inputs did not change is skipped.
//!
//! Contents are hashed instead of comparing modification times. A fresh clone, a
//! switch between branches and a restored cache then rebuild nothing.

use crate::files::{self, files_below};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

#[derive(Default)]
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds named bytes. The lengths are hashed too, so that different inputs never
    /// concatenate to the same bytes.
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Adds a file, or every file below a folder. A missing path adds nothing.
    /// Names are relative to `root`, so that moving the checkout changes nothing.
    pub(crate) fn path(&mut self, root: &Path, relative: &str) -> Result<()> {
        for file in files_below(&root.join(relative))? {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy();
            self.bytes(&name, &files::read(&file)?);
        }
        Ok(())
    }

    /// The hash as hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether the step that `stamp` belongs to finished with this fingerprint.
pub(crate) fn is_done(stamp: &Path, fingerprint: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|text| text.trim() == fingerprint)
}

/// Records that the step finished. An interrupted step has no stamp.
pub(crate) fn finish(stamp: &Path, fingerprint: &str) -> Result<()> {
    files::write(stamp, format!("{fingerprint}\n"))
}

/// Removes the stamp before the step starts.
pub(crate) fn begin(stamp: &Path) -> Result<()> {
    files::remove_file(stamp)
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
    fn fingerprint_depends_on_contents_and_names_only() {
        let folder = tempfile::tempdir().unwrap();
        let src = folder.path().join("src/deep");
        fs::create_dir_all(&src).unwrap();
        fs::write(src.join("a.rs"), "one").unwrap();
        let first = fingerprint_of(folder.path());

        fs::write(src.join("a.rs"), "one").unwrap();
        assert_eq!(fingerprint_of(folder.path()), first, "rewritten with the same contents");
        fs::write(src.join("a.rs"), "two").unwrap();
        assert_ne!(fingerprint_of(folder.path()), first, "other contents");
        fs::write(src.join("a.rs"), "one").unwrap();
        fs::rename(src.join("a.rs"), src.join("b.rs")).unwrap();
        assert_ne!(fingerprint_of(folder.path()), first, "another name");
    }

    #[test]
    fn adjacent_parts_hash_differently_when_split_differently() {
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
    fn interrupted_step_is_not_done() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = folder.path().join("stamp");
        begin(&stamp).unwrap();
        assert!(!is_done(&stamp, "abc"));
        finish(&stamp, "abc").unwrap();
        assert!(is_done(&stamp, "abc") && !is_done(&stamp, "abd"));
        begin(&stamp).unwrap();
        assert!(!is_done(&stamp, "abc"));
    }
}

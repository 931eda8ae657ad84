//! Functions of `std::fs` whose errors name the path.

use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Replaces the folder by an empty one.
pub(crate) fn empty_folder(path: &Path) -> Result<()> {
    remove_folder(path)?;
    create_folder(path)
}

/// Removes the folder if it exists.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    unless_missing(fs::remove_dir_all(path), path)
}

/// Removes the file if it exists.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    unless_missing(fs::remove_file(path), path)
}

fn unless_missing(removed: std::io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() == NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// All files below a folder, sorted. For a file, the file itself; for a missing
/// path, nothing.
pub(crate) fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let context = || format!("cannot list {}", folder.display());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == NotFound => continue,
            entries => entries.with_context(context)?,
        };
        for entry in entries {
            let path = entry.with_context(context)?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

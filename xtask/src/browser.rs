//! Finds or installs Chromium for the browser tests.

use crate::apt;
use crate::command::which;
use anyhow::{Result, bail};
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

/// The path of Chromium: `REHEARSAL_CHROMIUM`, else an installed one, else
/// Debian's package.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("REHEARSAL_CHROMIUM").map(PathBuf::from) {
        if path.is_file() {
            return Ok(path);
        }
        bail!("REHEARSAL_CHROMIUM is {}, which is not a file", path.display());
    }
    if let Some(path) = find() {
        return Ok(path);
    }
    if apt::is_available() {
        apt::ensure(&["chromium"], "the browser tests")?;
    }
    match find() {
        Some(path) => Ok(path),
        None => bail!(
            "the browser tests need Chromium: install it, or set REHEARSAL_CHROMIUM to its path"
        ),
    }
}

/// Searches `PATH`, then Playwright's downloads.
fn find() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .into_iter()
        .find_map(which)
        .or_else(|| newest_playwright_chromium(&playwright_folder()?))
}

fn playwright_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("PLAYWRIGHT_BROWSERS_PATH") {
        return Some(folder.into());
    }
    let home = PathBuf::from(std::env::var_os("HOME")?);
    Some(home.join(".cache/ms-playwright"))
}

/// Finds the `chromium-NUMBER/chrome-linux64/chrome` with the highest number.
fn newest_playwright_chromium(folder: &Path) -> Option<PathBuf> {
    let numbered = |entry: DirEntry| {
        let number: u32 = entry.file_name().to_str()?.strip_prefix("chromium-")?.parse().ok()?;
        let chrome = ["chrome-linux64/chrome", "chrome-linux/chrome"]
            .map(|inside| entry.path().join(inside))
            .into_iter()
            .find(|path| path.is_file())?;
        Some((number, chrome))
    };
    let found = std::fs::read_dir(folder).ok()?.flatten().filter_map(numbered);
    found.max().map(|(_, chrome)| chrome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_complete_playwright_download_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let chrome = |name: &str, inside: &str| {
            let path = folder.path().join(name).join(inside);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        chrome("chromium-999", "chrome-linux/chrome");
        let newest = chrome("chromium-1208", "chrome-linux64/chrome");
        chrome("chromium-1300", "unfinished");
        chrome("firefox-1400", "chrome-linux/chrome");
        assert_eq!(newest_playwright_chromium(folder.path()), Some(newest));
    }
}

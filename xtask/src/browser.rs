//! A Chromium for the browser tests: the machine's, or Debian's.

use crate::apt;
use crate::command::which;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The path of a Chromium; `REHEARSAL_CHROMIUM` names one by hand.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("REHEARSAL_CHROMIUM").map(PathBuf::from) {
        if named.is_file() {
            return Ok(named);
        }
        bail!("REHEARSAL_CHROMIUM names {}, which is not a file", named.display());
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    if apt::is_here() {
        apt::ensure(&["chromium"], "the browser tests")?;
    }
    match find() {
        Some(found) => Ok(found),
        None => bail!(
            "the browser tests need a Chromium: install one, or name it in REHEARSAL_CHROMIUM"
        ),
    }
}

/// In the `PATH`, else where Playwright keeps its own.
fn find() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .into_iter()
        .find_map(which)
        .or_else(|| newest_of_playwright(&playwright_folder()?))
}

fn playwright_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("PLAYWRIGHT_BROWSERS_PATH") {
        return Some(folder.into());
    }
    let home = PathBuf::from(std::env::var_os("HOME")?);
    Some(home.join(".cache/ms-playwright"))
}

/// `chromium-1208/chrome-linux64/chrome`; the highest number wins.
fn newest_of_playwright(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.strip_prefix("chromium-")?.parse().ok()?;
            let chrome = ["chrome-linux64/chrome", "chrome-linux/chrome"]
                .into_iter()
                .map(|inside| entry.path().join(inside))
                .find(|path| path.is_file())?;
            Some((number, chrome))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, chrome)| chrome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_download_of_playwright_is_taken() {
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
        assert_eq!(newest_of_playwright(folder.path()), Some(newest));
    }
}

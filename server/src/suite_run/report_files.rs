//! Reports that are written to files.

use super::api::{Api, Failure};
use super::outage::Outage;
use domain::SuiteId;
use reports::Format;
use reqwest::Method;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Creates the files, so that a path that cannot be written is reported before anything is
/// started, and that no report of an earlier run is taken for that of this one.
pub(super) fn create(files: &[(Format, PathBuf)]) -> Result<(), String> {
    for (index, (_, path)) in files.iter().enumerate() {
        if files.iter().take(index).any(|(_, other)| other == path) {
            return Err(format!("{} is given for two reports", path.display()));
        }
        std::fs::File::create(path).map_err(|error| cannot_write(path, &error))?;
    }
    Ok(())
}

/// Removes the files of reports that are not written.
pub(super) fn remove(files: &[(Format, PathBuf)]) {
    for (_, path) in files {
        // A device stays, and so does what cannot be removed: it is empty.
        if path.is_file() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Downloads all reports. A report that fails does not keep the others from being written.
pub(super) async fn download(
    api: &Api,
    outage: &mut Outage,
    suite: SuiteId,
    files: &[(Format, PathBuf)],
) -> Vec<String> {
    let mut errors = Vec::new();
    for (format, path) in files {
        let result = outage.retry(async || download_one(api, suite, *format, path).await).await;
        if let Err(failure) = result {
            remove(&[(*format, path.clone())]);
            errors.push(failure.message);
        }
    }
    errors
}

async fn download_one(
    api: &Api,
    suite: SuiteId,
    format: Format,
    path: &Path,
) -> Result<(), Failure> {
    let url = format!("/suites/{suite}/report.{}", format.extension());
    let mut response = api.send(api.request(Method::GET, &url)).await?;
    let failed = |error: io::Error| Failure::fatal(cannot_write(path, &error));
    let mut file = File::create(path).await.map_err(failed)?;
    while let Some(part) = response.chunk().await.map_err(|error| api.unreachable(&error))? {
        file.write_all(&part).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    match file.sync_all().await {
        // A device has nothing to synchronize.
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(failed(error)),
        _ => Ok(()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

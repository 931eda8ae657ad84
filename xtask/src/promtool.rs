//! `promtool`, which checks and tests the alert rules: an installed one, or the one
//! in Debian's package `prometheus`. The package is unpacked, not installed,
//! because an installed one starts a daemon.

use crate::command::{command, run, run_quietly, say, which};
use crate::workspace::Workspace;
use crate::{apt, files};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Checks the rules and runs their tests. Prints a line and skips both if promtool
/// is not available.
pub(crate) fn check_alerts(workspace: &Workspace) -> Result<()> {
    let promtool = match find(workspace) {
        Ok(promtool) => promtool,
        Err(error) => {
            say("alerts", format!("skipped: promtool is not available ({error:#})"));
            return Ok(());
        }
    };
    let docs = workspace.root.join("docs");
    run(command(&promtool, &docs).args(["check", "rules", "alerts.yml"]))?;
    run(command(&promtool, &docs).args(["test", "rules", "alerts_test.yml"]))
}

fn find(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(found) = which("promtool") {
        return Ok(found);
    }
    let folder = workspace.tools().join("prometheus");
    let unpacked = folder.join("usr/bin/promtool");
    if !unpacked.is_file() {
        if !apt::is_available() || which("dpkg").is_none() {
            bail!("install Prometheus; only Debian's package is downloaded automatically");
        }
        unpack(&folder)?;
    }
    if !unpacked.is_file() {
        bail!("Debian's package does not contain it");
    }
    Ok(unpacked)
}

/// Unpacks Debian's package into `folder`.
fn unpack(folder: &Path) -> Result<()> {
    // Removes an incomplete archive of an earlier attempt.
    files::empty_folder(folder)?;
    say("alerts", "downloading promtool from Debian");
    apt::download("prometheus", folder)?;
    let mut archives = files::files_below(folder)?.into_iter();
    let archive = archives
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .context("apt-get download left no archive")?;
    run_quietly(command("dpkg", folder).arg("-x").arg(&archive).arg(folder))?;
    files::remove_file(&archive)
}

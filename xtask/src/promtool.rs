//! `promtool`, which checks and tests the alert rules: the machine's, or the one
//! in Debian's package `prometheus`. That package is only unpacked: installed,
//! it would start a daemon.

use crate::apt;
use crate::command::{command, run, run_quietly, say, which};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks the rules and runs their tests; left out, with a word, where promtool
/// cannot be had.
pub(crate) fn check_alerts(workspace: &Workspace) -> Result<()> {
    let promtool = match find(workspace) {
        Ok(promtool) => promtool,
        Err(error) => {
            say("alerts", format!("left out: there is no promtool here ({error:#})"));
            return Ok(());
        }
    };
    let docs = workspace.root.join("docs");
    run(command(&promtool, &docs).args(["check", "rules", "alerts.yml"]))?;
    run(command(&promtool, &docs).args(["test", "rules", "alerts_test.yml"]))
}

/// In the `PATH`, among our tools, or from Debian.
fn find(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(found) = which("promtool") {
        return Ok(found);
    }
    let folder = workspace.tools().join("prometheus");
    let ours = folder.join("usr/bin/promtool");
    if !ours.is_file() {
        if !apt::is_here() || which("dpkg").is_none() {
            bail!("it comes with Prometheus, and only Debian's package is fetched by itself");
        }
        unpack(&folder)?;
    }
    if !ours.is_file() {
        bail!("Debian's package has none");
    }
    Ok(ours)
}

/// Unpacks Debian's package into `folder`.
fn unpack(folder: &Path) -> Result<()> {
    // Half an archive of an earlier time would be unpacked too.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    say("alerts", "fetching promtool from Debian");
    apt::download("prometheus", folder)?;
    let archive = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .context("apt-get download left no archive")?;
    run_quietly(command("dpkg", folder).arg("-x").arg(&archive).arg(folder))?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

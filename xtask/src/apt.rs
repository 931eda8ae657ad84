//! Installs Debian packages, as root or through passwordless sudo.

use crate::command::{capture, command, run_quietly, say, which};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Whether this machine has apt.
pub(crate) fn is_available() -> bool {
    which("apt-get").is_some() && which("dpkg-query").is_some()
}

/// Installs the missing ones of `packages`. `purpose` is for messages. Without
/// the permission to install, the error names the command to run.
pub(crate) fn ensure(packages: &[&str], purpose: &str) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let Some(privilege) = privilege() else {
        bail!(
            "{purpose} need these packages: {list}. \
             Run `sudo apt-get install -y {list}`, then try again"
        );
    };
    update_once(privilege)?;
    say("apt", format!("installing {list}"));
    run_quietly(apt_get(privilege).args(["install", "-y", "--no-install-recommends"]).args(missing))
}

/// Downloads the archive of a package into `folder` without installing it.
pub(crate) fn download(package: &str, folder: &Path) -> Result<()> {
    if capture(command("apt-cache", folder).args(["show", "--quiet", package])).is_err() {
        // The package lists of this machine were never downloaded.
        match privilege() {
            Some(privilege) => update_once(privilege)?,
            None => {
                bail!("apt does not know `{package}`. Run `sudo apt-get update`, then try again")
            }
        }
    }
    run_quietly(command("apt-get", folder).args(["-q", "download", package]))
}

fn is_installed(package: &str) -> bool {
    let mut query = command("dpkg-query", Path::new("/"));
    query.args(["-W", "-f=${Status}", package]);
    capture(&mut query).is_ok_and(|status| status.trim() == "install ok installed")
}

/// The start of a command that may install packages, if this user may.
type Privilege = &'static [&'static str];

fn privilege() -> Option<Privilege> {
    let root = Path::new("/");
    if capture(command("id", root).arg("-u")).is_ok_and(|id| id.trim() == "0") {
        return Some(&["env"]);
    }
    which("sudo")?;
    capture(command("sudo", root).args(["-n", "true"])).ok().map(|_| &["sudo", "-n", "env"][..])
}

/// `apt-get` that never prompts and waits while another process holds dpkg's lock.
fn apt_get(privilege: Privilege) -> Command {
    let mut apt = command(privilege[0], Path::new("/"));
    apt.args(&privilege[1..]);
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]);
    apt
}

/// Downloads the package lists, once per process.
fn update_once(privilege: Privilege) -> Result<()> {
    static UPDATED: OnceLock<()> = OnceLock::new();
    if UPDATED.get().is_none() {
        say("apt", "updating the package lists");
        run_quietly(apt_get(privilege).arg("update"))?;
        let _ = UPDATED.set(());
    }
    Ok(())
}

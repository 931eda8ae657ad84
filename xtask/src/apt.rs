//! Debian packages: installed when missing, by root or through a sudo that
//! does not ask.

use crate::command::{capture, command, run_quietly, say, which};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Whether this machine has apt.
pub(crate) fn is_here() -> bool {
    which("apt-get").is_some() && which("dpkg-query").is_some()
}

/// Installs those of `packages` that are missing; `purpose` completes the
/// sentence "… is needed for". One sentence says what to do where we may not.
pub(crate) fn ensure(packages: &[&str], purpose: &str) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let Some(rights) = rights() else {
        bail!("{list} is needed for {purpose}; run `sudo apt-get install -y {list}`, then again");
    };
    update_once(rights)?;
    say("apt", format!("installing {list}"));
    run_quietly(apt_get(rights).args(["install", "-y", "--no-install-recommends"]).args(missing))
}

/// Fetches a package's archive into `folder`, installing nothing.
pub(crate) fn download(package: &str, folder: &Path) -> Result<()> {
    let fetch = || {
        let mut apt = command("apt-get", folder);
        run_quietly(apt.args(["-q", "download", package]))
    };
    if capture(command("apt-cache", folder).args(["show", "--quiet", package])).is_ok() {
        return fetch();
    }
    // Not known yet: this machine's lists were never read.
    match rights() {
        Some(rights) => update_once(rights)?,
        None => bail!("`{package}` is unknown here; run `sudo apt-get update`, then again"),
    }
    fetch()
}

/// Whether dpkg has it, configured.
fn is_installed(package: &str) -> bool {
    let mut query = command("dpkg-query", Path::new("/"));
    query.args(["-W", "-f=${Status}", package]);
    capture(&mut query).is_ok_and(|status| status.trim() == "install ok installed")
}

/// How we may install.
#[derive(Clone, Copy)]
enum Rights {
    Root,
    Sudo,
}

/// None: we are not root, and sudo would ask for a password.
fn rights() -> Option<Rights> {
    let root = Path::new("/");
    if capture(command("id", root).arg("-u")).is_ok_and(|id| id.trim() == "0") {
        return Some(Rights::Root);
    }
    which("sudo")?;
    capture(command("sudo", root).args(["-n", "true"])).ok().map(|_| Rights::Sudo)
}

/// `apt-get` that never asks and waits for another one to end.
fn apt_get(rights: Rights) -> Command {
    let root = Path::new("/");
    let mut apt = match rights {
        Rights::Root => command("env", root),
        Rights::Sudo => {
            let mut sudo = command("sudo", root);
            sudo.args(["-n", "env"]);
            sudo
        }
    };
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]);
    apt
}

/// The lists of packages, once a start of xtask.
fn update_once(rights: Rights) -> Result<()> {
    static UPDATED: OnceLock<()> = OnceLock::new();
    if UPDATED.get().is_none() {
        say("apt", "reading the lists of packages");
        run_quietly(apt_get(rights).arg("update"))?;
        let _ = UPDATED.set(());
    }
    Ok(())
}

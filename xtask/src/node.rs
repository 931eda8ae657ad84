//! Node and packages from npm: `wasm-opt` and the packages of the browser tests.

use crate::command::{capture, command, run, run_quietly, say, which};
use crate::stamp::{self, Fingerprint};
use crate::workspace::Workspace;
use crate::{apt, files};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Playwright and binaryen need this version or a newer one.
const MINIMUM_NODE: u32 = 18;
/// Older versions of `wasm-opt` cannot read the output of current compilers.
const MINIMUM_WASM_OPT: u32 = 120;

/// Installs Node and npm from Debian if they are missing.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    if (which("node").is_none() || which("npm").is_none()) && apt::is_available() {
        apt::ensure(&["nodejs", "npm"], "wasm-opt and the browser tests")?;
    }
    if which("node").is_none() || which("npm").is_none() {
        bail!("Node {MINIMUM_NODE} or newer and npm are missing: install them, then try again");
    }
    let version = capture(command("node", &workspace.root).arg("--version"))?;
    if major(&version).is_none_or(|major| major < MINIMUM_NODE) {
        bail!("Node {} is too old: install {MINIMUM_NODE} or newer", version.trim());
    }
    Ok(())
}

/// The first number in the version that a program prints.
fn major(version: &str) -> Option<u32> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// Installs the packages of the lock file of `folder` into its `node_modules`. Returns
/// their fingerprint.
fn install(folder: &Path, what: &str) -> Result<String> {
    let modules = folder.join("node_modules");
    let mut fingerprint = Fingerprint::default();
    fingerprint.path(folder, "package.json")?;
    fingerprint.path(folder, "package-lock.json")?;
    let fingerprint = fingerprint.finish();
    let stamp = modules.join(".installed");
    if stamp::is_done(&stamp, &fingerprint) {
        return Ok(fingerprint);
    }
    say("npm", format!("installing {what}"));
    stamp::begin(&stamp)?;
    let mut npm = command("npm", folder);
    // `browser.rs` finds the browser.
    npm.args(["ci", "--no-audit", "--no-fund"]).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    run_quietly(&mut npm)?;
    stamp::finish(&stamp, &fingerprint)?;
    Ok(fingerprint)
}

/// Installs the packages of the browser tests.
pub(crate) fn ensure_end2end(workspace: &Workspace) -> Result<()> {
    ensure(workspace)?;
    install(&workspace.end2end(), "Playwright and axe")?;
    Ok(())
}

/// An installed `wasm-opt`.
#[derive(Clone, Debug)]
pub(crate) struct WasmOpt {
    program: PathBuf,
    script: Option<PathBuf>,
    /// For fingerprints.
    pub(crate) version: String,
}

impl WasmOpt {
    /// The one in `PATH` if it is new enough, else the npm package `binaryen`. `None`
    /// if neither is available: the site is then larger.
    pub(crate) fn find(workspace: &Workspace) -> Option<Self> {
        if let Some(program) = which("wasm-opt")
            && let Ok(version) = capture(command(&program, &workspace.root).arg("--version"))
            && major(&version).is_some_and(|major| major >= MINIMUM_WASM_OPT)
        {
            return Some(Self { program, script: None, version });
        }
        match from_npm(workspace) {
            Ok(found) => Some(found),
            Err(error) => {
                say("wasm-opt", format!("skipped, so the site is larger: {error:#}"));
                None
            }
        }
    }

    /// Optimizes the file in place.
    pub(crate) fn shrink(&self, wasm: &Path, flags: &[&str]) -> Result<()> {
        let folder = wasm.parent().context("the WebAssembly file has no folder")?;
        let small = wasm.with_extension("small");
        let mut command: Command = command(&self.program, folder);
        command.args(self.script.as_ref()).args(flags).arg(wasm).arg("-o").arg(&small);
        run(&mut command)?;
        fs::rename(&small, wasm).with_context(|| format!("cannot replace {}", wasm.display()))
    }
}

/// Installs the npm package below the target folder.
fn from_npm(workspace: &Workspace) -> Result<WasmOpt> {
    ensure(workspace)?;
    let tools = workspace.tools();
    files::create_folder(&tools)?;
    files::write(&tools.join("package.json"), include_str!("../tools/package.json"))?;
    files::write(&tools.join("package-lock.json"), include_str!("../tools/package-lock.json"))?;
    let version = install(&tools, "binaryen (wasm-opt)")?;
    let script = tools.join("node_modules/binaryen/bin/wasm-opt");
    if !script.is_file() {
        bail!("{} is missing after npm ci", script.display());
    }
    Ok(WasmOpt { program: "node".into(), script: Some(script), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_are_parsed() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("wasm-opt version 132 (version_132)"), Some(132));
        assert_eq!(major("unknown"), None);
    }
}

//! `cargo xtask bench store [TURNS]`: builds a release of the store and measures it on
//! the disk of the target folder: durable turns per second, and lists, pages and claims
//! over a million turns, or as many as given.

use crate::command::{cargo, exit_code, run};
use crate::files::create_folder;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

/// The benchmark prints its results and their targets.
pub(crate) fn bench(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    if args.len() > 1 || args.iter().any(|turns| turns.parse::<u32>().is_err()) {
        bail!("`bench store` takes one number of turns, not `{}`", args.join(" "));
    }
    let root = &workspace.root;
    run(cargo(root).args(["build", "--release", "--locked", "--package", "store-bench"]))?;
    let binary = workspace.binary("release", "store-bench");
    let folder = workspace.target.join("bench");
    create_folder(&folder)?;
    let status = Command::new(&binary).arg(&folder).args(args).status();
    Ok(exit_code(status.with_context(|| format!("cannot start {}", binary.display()))?))
}

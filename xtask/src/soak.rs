//! `cargo xtask soak NAME`: builds the server and `fault-injection`, and runs one soak.

use crate::command::{cargo, command, exit_code, run, say};
use crate::test::WORKSPACE;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::process::ExitCode;

/// Returns the exit code of the soak: 0 passed, 1 failed, 77 not possible on this
/// machine.
pub(crate) fn soak(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let (profile, args) = split_profile(args);
    if args.iter().all(|arg| arg.starts_with('-')) {
        bail!("name a soak, for example `cargo xtask soak kill --seed 7`");
    }
    say("soak", format!("building the server and fault-injection ({profile})"));
    let mut build = cargo(&workspace.root);
    // The selection of the tests, so that nothing is compiled twice.
    build.arg("build").args(WORKSPACE);
    build.args(["--bin", "rehearsal", "--bin", "rehearsal-fault-injection"]);
    match profile {
        "release" => build.arg("--release"),
        _ => build.arg("--tests"),
    };
    run(&mut build)?;
    let server = workspace.server_binary(profile);
    let mut soak = command(workspace.binary(profile, "rehearsal-fault-injection"), &workspace.root);
    soak.args(&args).arg("--binary").arg(&server);
    Ok(exit_code(soak.status().context("cannot start fault-injection")?))
}

/// Separates `--release` from the arguments of the soak.
fn split_profile(args: &[String]) -> (&'static str, Vec<String>) {
    let release = args.iter().any(|arg| arg == "--release");
    let rest = args.iter().filter(|arg| *arg != "--release").cloned().collect();
    (if release { "release" } else { "debug" }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_selects_the_profile_and_the_rest_goes_to_the_soak() {
        let args = ["kill", "--release", "--long"].map(str::to_owned);
        assert_eq!(split_profile(&args), ("release", vec!["kill".to_owned(), "--long".to_owned()]));
        assert_eq!(split_profile(&args[..1]).0, "debug");
    }
}

//! `cargo xtask soak NAME`: builds the server and the soaks, and runs one.

use crate::command::{cargo, command, run, say};
use crate::test::SERVER_HALF;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::process::ExitCode;

/// Builds, runs, and ends as the soak does: 0 all kept, 1 a promise broken, 77
/// not possible on this machine.
pub(crate) fn soak(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let (profile, args) = split(args);
    if args.iter().all(|arg| arg.starts_with('-')) {
        bail!("which soak? `cargo xtask soak NAME`, such as `cargo xtask soak kill --seed 7`");
    }
    say("soak", format!("building the server and the soaks ({profile})"));
    let mut build = cargo(&workspace.root);
    // Asked for as the tests are, so that nothing is compiled twice.
    build.arg("build").args(SERVER_HALF);
    build.args(["--bin", "rehearsal", "--bin", "rehearsal-soak"]);
    match profile {
        "release" => build.arg("--release"),
        _ => build.arg("--tests"),
    };
    run(&mut build)?;
    let server = workspace.server_binary(profile);
    let mut soak = command(server.with_file_name("rehearsal-soak"), &workspace.root);
    soak.args(&args).arg("--binary").arg(&server);
    let status = soak.status().context("cannot start the soak")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The profile, and what is left for the soak.
fn split(args: &[String]) -> (&'static str, Vec<String>) {
    let release = args.iter().any(|arg| arg == "--release");
    let rest = args.iter().filter(|arg| *arg != "--release").cloned().collect();
    (if release { "release" } else { "debug" }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_is_for_the_build_and_the_rest_for_the_soak() {
        let args = ["kill", "--release", "--long"].map(str::to_owned);
        assert_eq!(split(&args), ("release", vec!["kill".to_owned(), "--long".to_owned()]));
        assert_eq!(split(&args[..1]).0, "debug");
    }
}

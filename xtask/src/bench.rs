//! `cargo xtask bench`: builds what is shipped, and measures it.

use crate::build::{What, build};
use crate::command::say;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::ExitCode;

/// Builds the release binary (which prints the sizes of the site); what
/// measures the running server starts from its path.
pub(crate) fn bench(workspace: &Workspace) -> Result<ExitCode> {
    let server = build(workspace, What::Release)?;
    let size = std::fs::metadata(&server).map_or(0, |file| file.len()) as f64 / 1e6;
    say("bench", format!("the binary with the site inside: {size:.1} MB"));
    Ok(ExitCode::SUCCESS)
}

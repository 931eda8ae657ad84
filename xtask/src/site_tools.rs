//! Builds and starts `site-tools`, which links wasm-bindgen, the splitter and the
//! compressors.

use crate::command::{cargo, command, each_line, run};
use crate::files::files_below;
use crate::timings;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;

/// The compiled program.
#[derive(Clone, Debug)]
pub(crate) struct SiteTools(PathBuf);

impl SiteTools {
    /// Generates the JavaScript and WebAssembly of an unsplit module.
    pub(crate) fn bindgen(&self, name: &str, wasm: &Path, folder: &Path) -> Result<()> {
        run(self.command(folder).args(["bindgen", name]).arg(wasm).arg(folder))
    }

    /// Splits the module into lazy chunks, lists them in `chunks.json`, and generates the
    /// rest.
    pub(crate) fn split(&self, name: &str, wasm: &Path, folder: &Path) -> Result<()> {
        run(self.command(folder).args(["split", name]).arg(wasm).arg(folder))
    }

    /// Writes `.br` and `.gz` next to every file of the folder.
    pub(crate) fn compress(&self, folder: &Path) -> Result<()> {
        run(self.command(folder).arg("compress").args(files_below(folder)?))
    }

    fn command(&self, folder: &Path) -> Command {
        command(&self.0, folder)
    }
}

/// Where a build gets `site-tools` from. The program is needed last and only if
/// something changed.
pub(crate) enum Source<'a> {
    /// Another thread builds it and sends it.
    Pending(Receiver<SiteTools>),
    /// It is built when it is needed, with its feature `optimize`.
    OnDemand(&'a Workspace),
    Ready(SiteTools),
}

impl Source<'_> {
    pub(crate) fn get(&mut self) -> Result<SiteTools> {
        let tools = match self {
            Self::Pending(receiver) => receiver.recv().context("site-tools was not built")?,
            Self::OnDemand(workspace) => build_alone(workspace, &["--features", "optimize"])?,
            Self::Ready(tools) => return Ok(tools.clone()),
        };
        *self = Self::Ready(tools.clone());
        Ok(tools)
    }
}

/// Builds it without the feature `optimize`.
pub(crate) fn build_debug(workspace: &Workspace) -> Result<SiteTools> {
    build_alone(workspace, &[])
}

fn build_alone(workspace: &Workspace, args: &[&str]) -> Result<SiteTools> {
    let mut cargo = cargo(&workspace.root);
    cargo.args(["build", "--package", "site-tools"]).args(args);
    let mut tools = None;
    timings::measure("site-tools: cargo build", || build(&mut cargo, |built| tools = Some(built)))?;
    tools.context("cargo built no site-tools")
}

/// Runs a `cargo build` whose selection contains `site-tools`. Calls `built` as soon
/// as the program exists, which may be long before cargo finishes.
pub(crate) fn build(cargo: &mut Command, mut built: impl FnMut(SiteTools)) -> Result<()> {
    cargo.arg("--message-format=json-render-diagnostics");
    let succeeded = each_line(cargo, |line| {
        if let Some(path) = executable(line) {
            built(SiteTools(path));
        }
    })?;
    if !succeeded {
        bail!("`cargo build` failed");
    }
    Ok(())
}

/// The path of `site-tools`, if this message of cargo announces it.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["target"]["name"] != "site-tools" {
        return None;
    }
    // Test programs have the same target name.
    if message["profile"]["test"] == true {
        return None;
    }
    message["executable"].as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_is_found_in_messages_of_cargo() {
        let message = |name: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"name":"{name}"}},"profile":{{"test":{test}}},"executable":"/t/{name}"}}"#
            )
        };
        let found = executable(&message("site-tools", false));
        assert_eq!(found, Some(PathBuf::from("/t/site-tools")));
        assert_eq!(executable(&message("site-tools", true)), None);
        assert_eq!(executable(&message("rehearsal", false)), None);
        assert_eq!(executable("not a message"), None);
    }
}

//! `cargo xtask build`: the site and the server.

use crate::command::{cargo, run, say};
use crate::files::{self, files_below};
use crate::site;
use crate::site_tools::{self, Source};
use crate::timings;
use crate::wasm::Variant;
use crate::workspace::Workspace;
use anyhow::{Context, Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildTarget {
    /// Only the optimized site.
    Site,
    /// The development site, and a debug build of the server, which reads the site
    /// from its folder.
    Debug,
    /// One binary that contains the optimized site.
    Release,
}

impl BuildTarget {
    /// Parses the arguments of `build`.
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        match args {
            [] => Ok(Self::Debug),
            [arg] if arg == "--site" => Ok(Self::Site),
            [arg] if arg == "--release" => Ok(Self::Release),
            _ => bail!("`build` takes no argument, `--site` or `--release`"),
        }
    }
}

/// Builds the target. Returns the path of the server or of the site.
pub(crate) fn build(workspace: &Workspace, target: BuildTarget) -> Result<PathBuf> {
    match target {
        BuildTarget::Site => {
            optimized_site(workspace)?;
            Ok(workspace.site(Variant::Optimized))
        }
        BuildTarget::Debug => debug(workspace, |_| Ok(())),
        BuildTarget::Release => release(workspace),
    }
}

fn optimized_site(workspace: &Workspace) -> Result<()> {
    site::ensure(workspace, Variant::Optimized, false, &mut Source::OnDemand(workspace))?;
    Ok(())
}

/// Compiles the WebAssembly, and at the same time, with higher priority, the server.
/// Calls `server_built` as soon as the server exists. Returns the server's path.
pub(crate) fn debug(
    workspace: &Workspace,
    server_built: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let site = scope.spawn(|| {
            let mut tools = Source::Pending(receiver);
            let result = site::ensure(workspace, Variant::Development, false, &mut tools);
            if let Err(error) = &result {
                // The server may compile for minutes.
                say("site", format!("FAILED: {error:#}"));
            }
            result
        });
        let server = server(workspace);
        let started = server.as_ref().map_or(Ok(()), |path| server_built(path));
        let tools = site_tools::build_debug(workspace);
        if let Ok(tools) = &tools {
            // Nothing receives it if the site is unchanged or failed.
            let _ = sender.send(tools.clone());
        }
        drop(sender);
        let site = site.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
        let server = server?;
        started?;
        tools?;
        site.context("the site was not built")?;
        Ok(server)
    })
}

pub(crate) fn server(workspace: &Workspace) -> Result<PathBuf> {
    say("server", "building (the first build takes some minutes)");
    let mut cargo = cargo(&workspace.root);
    cargo.args(["build", "--package", "server", "--bin", "rehearsal"]);
    timings::measure("server: cargo build", || run(&mut cargo))?;
    Ok(workspace.server_binary("debug"))
}

fn release(workspace: &Workspace) -> Result<PathBuf> {
    optimized_site(workspace)?;
    let list = workspace.target.join("embedded_site.rs");
    write_if_changed(&list, &embed_list(&workspace.site(Variant::Optimized))?)?;
    say("server", "building the release");
    let mut cargo = cargo(&workspace.root);
    cargo.args(["build", "--package", "server", "--bin", "rehearsal"]);
    cargo.args(["--release", "--features", "embed-site"]);
    cargo.env("REHEARSAL_EMBED_SITE", list);
    timings::measure("server: cargo build --release", || run(&mut cargo))?;
    Ok(workspace.server_binary("release"))
}

/// Keeps the modification time of an unchanged file, so that cargo does not compile
/// it again.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    files::write(path, text)
}

/// The files of the site as a Rust expression. `server/src/site.rs` includes it.
fn embed_list(site: &Path) -> Result<String> {
    let mut list = String::from("&[\n");
    for path in files_below(site)? {
        let name = path.strip_prefix(site).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        list.push_str(&format!("    ({name:?}, include_bytes!({path:?})),\n"));
    }
    list.push_str("]\n");
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embed_list_names_every_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pkg")).unwrap();
        for name in ["pkg/a.js", "site.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let folder = folder.path();
        let expected = format!(
            "&[\n    (\"pkg/a.js\", include_bytes!({:?})),\n    (\"site.json\", include_bytes!({:?})),\n]\n",
            folder.join("pkg/a.js"),
            folder.join("site.json"),
        );
        assert_eq!(embed_list(folder).unwrap(), expected);
    }

    #[test]
    fn unchanged_file_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.rs");
        write_if_changed(&path, "one").unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        write_if_changed(&path, "one").unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), long_ago);
        write_if_changed(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
    }

    #[test]
    fn build_accepts_at_most_one_flag() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            BuildTarget::parse(&args).ok()
        };
        assert_eq!(parse(&[]), Some(BuildTarget::Debug));
        assert_eq!(parse(&["--site"]), Some(BuildTarget::Site));
        assert_eq!(parse(&["--release"]), Some(BuildTarget::Release));
        assert_eq!(parse(&["--relase"]), None);
        assert_eq!(parse(&["--site", "--release"]), None);
    }
}

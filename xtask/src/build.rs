//! `cargo xtask build` and `run`: the site, the server, and its start.

use crate::command::{cargo, command, run as run_command, say};
use crate::site;
use crate::stamp::files_below;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The site only.
    Site,
    /// The site, and a server for trying things, which reads it from its folder.
    Debug,
    /// One binary with the site inside.
    Release,
}

impl What {
    /// From the arguments of `build`.
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        match args {
            [] => Ok(Self::Debug),
            [one] if one == "--site" => Ok(Self::Site),
            [one] if one == "--release" => Ok(Self::Release),
            _ => bail!("`build` takes nothing, `--site` or `--release`"),
        }
    }
}

/// Builds, and answers with the server's path (for a site: the site's).
pub(crate) fn build(workspace: &Workspace, what: What) -> Result<PathBuf> {
    site::ensure(workspace, false)?;
    match what {
        What::Site => Ok(workspace.site()),
        What::Debug => server(workspace, "debug", |_| ()),
        What::Release => {
            let list = workspace.target.join("embedded_site.rs");
            write_if_changed(&list, &embed_list(&workspace.site())?)?;
            server(workspace, "release", |cargo| {
                cargo.args(["--release", "--features", "embed-site"]);
                cargo.env("REHEARSAL_EMBED_SITE", list);
            })
        }
    }
}

/// A file that is written anew is compiled anew, so the same is left alone.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The list of the site's files as `server/src/site.rs` includes it.
fn embed_list(site: &Path) -> Result<String> {
    let mut list = String::from("&[\n");
    for path in files_below(site)? {
        let name = path.strip_prefix(site).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        list.push_str(&format!("    ({name:?}, include_bytes!({path:?})),\n"));
    }
    list.push_str("]\n");
    Ok(list)
}

/// The server's binary; cargo itself knows what changed.
fn server(
    workspace: &Workspace,
    profile_folder: &str,
    more: impl FnOnce(&mut Command),
) -> Result<PathBuf> {
    say("server", "building (the first time takes some minutes)");
    let mut cargo = cargo(&workspace.root);
    cargo.args(["build", "--package", "server", "--bin", "rehearsal"]);
    more(&mut cargo);
    run_command(&mut cargo)?;
    let binary = workspace.server_binary(profile_folder);
    say("server", format!("is {}", binary.display()));
    Ok(binary)
}

/// Builds what changed and becomes the server: Ctrl-C reaches it alone.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    let binary = build(workspace, What::Debug)?;
    let mut serve = command(&binary, &workspace.root);
    serve.arg("serve").args(args).stdin(Stdio::inherit());
    if std::env::var_os("REHEARSAL_SITE_DIR").is_none() {
        serve.env("REHEARSAL_SITE_DIR", workspace.site());
    }
    say("start", format!("{} serve {}", binary.display(), args.join(" ")));
    become_program(serve)
}

#[cfg(unix)]
fn become_program(mut program: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(program.exec()).context("cannot start the server")
}

#[cfg(not(unix))]
fn become_program(mut program: Command) -> Result<ExitCode> {
    let status = program.status().context("cannot start the server")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_file_as_it_is_served() {
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
    fn what_did_not_change_is_not_written() {
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
    fn build_takes_one_flag_at_most() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            What::parse(&args).ok()
        };
        assert_eq!(parse(&[]), Some(What::Debug));
        assert_eq!(parse(&["--site"]), Some(What::Site));
        assert_eq!(parse(&["--release"]), Some(What::Release));
        assert_eq!(parse(&["--relase"]), None);
        assert_eq!(parse(&["--site", "--release"]), None);
    }
}

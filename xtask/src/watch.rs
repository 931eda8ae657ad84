//! `cargo xtask watch`: rebuilds and restarts the server when a source file changes.

use crate::build::{BuildTarget, build};
use crate::command::say;
use crate::files::files_below;
use crate::run::{serve_command, stop};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

const SOURCES: [&str; 9] = [
    "app",
    "crates",
    "frontend",
    "migrations",
    "server",
    "style",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
];
const POLL_INTERVAL: Duration = Duration::from_millis(500);

type Times = BTreeMap<PathBuf, SystemTime>;

/// Runs until it is interrupted.
pub(crate) fn watch(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    let mut server: Option<Child> = None;
    loop {
        let built_from = modification_times(&workspace.root)?;
        match build(workspace, BuildTarget::Debug) {
            Ok(binary) => {
                if let Some(mut old) = server.take() {
                    stop(&mut old)?;
                }
                let mut serve = serve_command(workspace, &binary, args);
                server = Some(serve.spawn().context("cannot start the server")?);
            }
            // The old server keeps running.
            Err(error) => say("watch", format!("{error:#}")),
        }
        say("watch", "waiting for changes");
        wait_for_change(&workspace.root, &built_from)?;
    }
}

/// Returns when a file differs from `old` and no file changed since the last poll.
fn wait_for_change(root: &Path, old: &Times) -> Result<()> {
    let mut previous = modification_times(root)?;
    loop {
        sleep(POLL_INTERVAL);
        let current = modification_times(root)?;
        if current != *old && current == previous {
            let changed = current.iter().find(|(path, time)| old.get(*path) != Some(*time));
            if let Some((path, _)) = changed {
                let path = path.strip_prefix(root).unwrap_or(path);
                say("watch", format!("{} changed", path.display()));
            }
            return Ok(());
        }
        previous = current;
    }
}

fn modification_times(root: &Path) -> Result<Times> {
    let mut times = Times::new();
    for source in SOURCES {
        for file in files_below(&root.join(source))? {
            // A file that was removed in the meantime counts as missing.
            if let Ok(time) = file.metadata().and_then(|metadata| metadata.modified()) {
                times.insert(file, time);
            }
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn change_is_reported_when_files_have_settled() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("app")).unwrap();
        let source = folder.path().join("app/lib.rs");
        fs::write(&source, "one").unwrap();
        let before = modification_times(folder.path()).unwrap();
        assert_eq!(before, modification_times(folder.path()).unwrap());

        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&source).unwrap().set_modified(later).unwrap();
        wait_for_change(folder.path(), &before).unwrap();

        fs::write(folder.path().join("app/new.rs"), "").unwrap();
        assert_eq!(modification_times(folder.path()).unwrap().len(), 2);
    }
}

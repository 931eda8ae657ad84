//! Where things are: the sources, and the target folder that cargo uses.

use crate::command;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folders of a checkout. What is made goes below the target folder;
/// nothing is written among the sources but `end2end/node_modules`.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder (`CARGO_TARGET_DIR` and `build.target-dir` count).
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, because only it knows every place where the target folder
    /// can be set.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the xtask crate stands inside the workspace")?
            .to_path_buf();
        let mut cargo = command::cargo(&root);
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let text = command::capture(&mut cargo)?;
        let metadata: serde_json::Value =
            serde_json::from_str(&text).context("cargo metadata did not answer with JSON")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target_directory")?
            .into();
        Ok(Self { root, target })
    }

    /// The site as it is served: `site.json` and `pkg/`.
    pub(crate) fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// The target folder of the browser half: another compiler may build it,
    /// and two compilers in one folder would rebuild each other's work.
    pub(crate) fn wasm_target(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// Tools from npm.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The browser tests.
    pub(crate) fn end2end(&self) -> PathBuf {
        self.root.join("end2end")
    }

    /// The server's binary.
    pub(crate) fn server_binary(&self, profile_folder: &str) -> PathBuf {
        let name = format!("rehearsal{}", std::env::consts::EXE_SUFFIX);
        self.target.join(profile_folder).join(name)
    }
}

//! The folders of the checkout and of its build output.

use crate::command;
use crate::wasm::Variant;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// All output goes below the target folder, except `end2end/node_modules`.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder. It respects `CARGO_TARGET_DIR` and `build.target-dir`.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, because the target folder can be configured in many places.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the folder of xtask has no parent")?
            .to_path_buf();
        let mut cargo = command::cargo(&root);
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let text = command::capture(&mut cargo)?;
        let metadata: serde_json::Value =
            serde_json::from_str(&text).context("`cargo metadata` printed invalid JSON")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("`cargo metadata` printed no target_directory")?
            .into();
        Ok(Self { root, target })
    }

    /// The folder of the site. The server uses `target/site` by default.
    pub(crate) fn site(&self, variant: Variant) -> PathBuf {
        self.target.join(match variant {
            Variant::Development => "site",
            Variant::Optimized => "site-optimized",
        })
    }

    /// The target folder of the WebAssembly. It is separate because its compiler may
    /// differ, and two compilers in one folder would discard each other's output.
    pub(crate) fn wasm_target(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// Tools from npm and Debian.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The browser tests.
    pub(crate) fn end2end(&self) -> PathBuf {
        self.root.join("end2end")
    }

    pub(crate) fn server_binary(&self, profile_folder: &str) -> PathBuf {
        self.binary(profile_folder, "rehearsal")
    }

    /// The path of a program of the workspace.
    pub(crate) fn binary(&self, profile_folder: &str, name: &str) -> PathBuf {
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        self.target.join(profile_folder).join(name)
    }
}

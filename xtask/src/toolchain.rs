//! Finds or installs a compiler for `wasm32-unknown-unknown`. The installed Rust
//! may lack the standard library of this target.

use crate::apt;
use crate::command::{self, capture, command, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's second Rust compiler, with the source of the standard library, which is
/// compiled together with our code.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The compiler of the WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler that builds everything else.
    Default,
    /// Debian's `rustc-web`.
    Debian {
        /// The version of its LLVM. The linker must have the same version: the
        /// package `lld` may be years older and omit data that splitting needs.
        llvm: u32,
    },
}

impl Toolchain {
    /// The first compiler that is installed or can be installed.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        if default_has_target(&workspace.root) {
            return Ok(Self::Default);
        }
        if rustup_may_install() && rustup_add_target(&workspace.root) {
            return Ok(Self::Default);
        }
        if apt::is_available() {
            apt::ensure(&DEBIAN, "the WebAssembly build")?;
            let version = capture(debian("/usr/bin/rustc", &workspace.root).arg("-vV"))?;
            let llvm = llvm(&version).context("rustc does not print its LLVM version")?;
            apt::ensure(&[&format!("lld-{llvm}")], "the WebAssembly build")?;
            return Ok(Self::Debian { llvm });
        }
        bail!(
            "the standard library of Rust for {TARGET} is missing: run \
             `rustup target add {TARGET}` or install your system's package of it, then try again"
        );
    }

    /// The version, for fingerprints.
    pub(crate) fn version(&self, root: &Path) -> Result<String> {
        let mut rustc = match self {
            Self::Default => command("rustc", root),
            Self::Debian { .. } => debian("/usr/bin/rustc", root),
        };
        capture(rustc.arg("-vV"))
    }

    /// The start of a `cargo rustc` command. The caller adds the package.
    pub(crate) fn cargo_build(&self, workspace: &Workspace) -> Command {
        let mut cargo = match self {
            Self::Default => command::cargo(&workspace.root),
            Self::Debian { llvm } => {
                let mut cargo = debian("/usr/bin/cargo", &workspace.root);
                cargo
                    .env("RUSTC", "/usr/bin/rustc")
                    // Allows the unstable `build-std`.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", format!("wasm-ld-{llvm}"));
                cargo
            }
        };
        cargo.arg("rustc");
        if matches!(self, Self::Debian { .. }) {
            // No features: backtraces would add four libraries.
            cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
        }
        // cargo-leptos sets this variable, which changes the file names in the pages.
        cargo.env_remove("LEPTOS_OUTPUT_NAME");
        cargo.args(["--target", TARGET]);
        // Separate, even if the machine is configured with one build folder for
        // everything.
        for folder in ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
            cargo.env(folder, workspace.wasm_target());
        }
        cargo
    }
}

/// The major version of LLVM in the output of `rustc -vV`.
fn llvm(version: &str) -> Option<u32> {
    let line = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

/// A program of Debian, without the variables that rustup or a wrapper sets.
fn debian(program: &str, root: &Path) -> Command {
    let mut command = command(program, root);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(name);
    }
    command
}

/// Whether the default compiler has the target's standard library. `rustc` prints
/// the folder even if it does not exist.
fn default_has_target(root: &Path) -> bool {
    let mut rustc = command("rustc", root);
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    capture(&mut rustc).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Whether rustup is installed and may install components.
pub(crate) fn rustup_may_install() -> bool {
    std::env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0")
        && command::which("rustup").is_some()
}

/// Returns whether it succeeded. Without a network, Debian's compiler may be
/// installed already.
fn rustup_add_target(root: &Path) -> bool {
    say("rustup", format!("adding {TARGET}"));
    let mut rustup = command("rustup", root);
    match command::run_quietly(rustup.args(["target", "add", TARGET])) {
        Ok(()) => default_has_target(root),
        Err(error) => {
            say("rustup", format!("{error:#}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::llvm;

    #[test]
    fn llvm_major_version_is_parsed() {
        assert_eq!(llvm("rustc 1.96.0\nhost: x\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm("rustc 1.96.0\n"), None);
    }
}

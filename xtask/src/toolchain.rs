//! A compiler that can build for the browser. Rust alone cannot where the
//! standard library of `wasm32-unknown-unknown` is missing; who has it differs
//! from machine to machine.

use crate::apt;
use crate::command::{self, capture, command, say};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// The target of the browser half.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for web browsers: it has the library's source, and builds
/// the library along with us.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Who builds the browser half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler that builds everything else.
    Own,
    /// Debian's, with its own standard library from source.
    Debian {
        /// The version of its LLVM. The linker is of the same: Debian's `lld`
        /// may be years older, and then leaves out what the cut needs to know.
        llvm: u32,
    },
}

impl Toolchain {
    /// The first that is there, or that can be had without asking.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        if own_has_target(&workspace.root) {
            return Ok(Self::Own);
        }
        if rustup_may_install() && rustup_add_target(&workspace.root) {
            return Ok(Self::Own);
        }
        if apt::is_here() {
            apt::ensure(&DEBIAN, "the browser half")?;
            let version = capture(debian("/usr/bin/rustc", &workspace.root).arg("-vV"))?;
            let llvm = llvm(&version).context("rustc does not say which LLVM it has")?;
            apt::ensure(&[&format!("lld-{llvm}")], "the browser half")?;
            return Ok(Self::Debian { llvm });
        }
        bail!(
            "the browser half needs Rust's standard library for {TARGET}: run \
             `rustup target add {TARGET}` (or install your system's package of it), then again"
        );
    }

    /// What it is, for the fingerprint: another compiler, another result.
    pub(crate) fn version(&self, root: &Path) -> Result<String> {
        let mut rustc = match self {
            Self::Own => command("rustc", root),
            Self::Debian { .. } => debian("/usr/bin/rustc", root),
        };
        capture(rustc.arg("-vV"))
    }

    /// `cargo rustc` for the browser, up to the package.
    pub(crate) fn cargo_build(&self, workspace: &Workspace) -> Command {
        let mut cargo = match self {
            Self::Own => command::cargo(&workspace.root),
            Self::Debian { llvm } => {
                let mut cargo = debian("/usr/bin/cargo", &workspace.root);
                cargo
                    .env("RUSTC", "/usr/bin/rustc")
                    // `build-std` is not stable; this compiler may use it all the same.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", format!("wasm-ld-{llvm}"));
                cargo
            }
        };
        cargo.arg("rustc");
        if matches!(self, Self::Debian { .. }) {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        // Set by cargo-leptos, it would change the names the pages ask for.
        cargo.env_remove("LEPTOS_OUTPUT_NAME");
        cargo.args(["--target", TARGET]);
        // Apart, also where a setting of the machine names one build folder
        // for everything.
        for folder in ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
            cargo.env(folder, workspace.wasm_target());
        }
        cargo
    }
}

/// The LLVM that `rustc -vV` names, without what stands after the first dot.
fn llvm(version: &str) -> Option<u32> {
    let line = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

/// A program of Debian's, out of rustup's reach.
fn debian(program: &str, root: &Path) -> Command {
    let mut command = command(program, root);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(name);
    }
    command
}

/// Whether the standard library is there: `rustc` names the folder in any case.
fn own_has_target(root: &Path) -> bool {
    let mut rustc = command("rustc", root);
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    capture(&mut rustc).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Whether rustup is there and is allowed to bring things.
pub(crate) fn rustup_may_install() -> bool {
    std::env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0")
        && command::which("rustup").is_some()
}

/// Whether it worked; without a network there may still be Debian's.
fn rustup_add_target(root: &Path) -> bool {
    say("rustup", format!("adding {TARGET}"));
    let mut rustup = command("rustup", root);
    match command::run_quietly(rustup.args(["target", "add", TARGET])) {
        Ok(()) => own_has_target(root),
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
    fn the_linker_is_of_the_compilers_llvm() {
        assert_eq!(llvm("rustc 1.96.0\nhost: x\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm("rustc 1.96.0\n"), None);
    }
}

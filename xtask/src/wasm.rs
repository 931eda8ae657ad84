//! The browser half: `frontend` as WebAssembly, cut in pieces where the code
//! says so, its JavaScript from wasm-bindgen, made small by `wasm-opt`.

use crate::command::{each_line, say};
use crate::node::WasmOpt;
use crate::stamp::Fingerprint;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wasm_bindgen_cli_support::Bindgen;

/// The name of everything that is served: `rehearsal.js`, `rehearsal_bg.wasm`.
pub(crate) const NAME: &str = "rehearsal";

/// The JavaScript that fetches the [`PIECES`]; the crate that cuts names it.
pub(crate) const LOADER: &str = "__wasm_split.js";

/// The WebAssembly beside `rehearsal_bg.wasm`.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Its name in the bundle, given by the crate that cuts.
    pub(crate) file: &'static str,
    /// How the name it is served by ends; `app/src/pages/later.rs` knows it.
    pub(crate) served: &'static str,
}

/// The two parts of `app/src/pages/later.rs`, and what both need.
pub(crate) const PIECES: [Piece; 3] = [
    Piece { file: "split_set_up.wasm", served: "_set_up.wasm" },
    Piece { file: "split_write.wasm", served: "_write.wasm" },
    Piece { file: "chunk_3.wasm", served: "_shared.wasm" },
];

/// What goes in, but for the compiler and the tools.
const SOURCES: [&str; 5] = ["app", "frontend", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"];

/// Everything that rustc and wasm-bindgen may use, and every browser since
/// 2023 knows.
const WASM_OPT: [&str; 7] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-sign-ext",
];

/// The finished browser half.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Holds `rehearsal.js`, `rehearsal_bg.wasm`, [`LOADER`], the [`PIECES`]
    /// and perhaps `snippets/`.
    pub(crate) folder: PathBuf,
    /// Whether `wasm-opt` went over it.
    pub(crate) optimised: bool,
    /// How many warnings the compiler had for our code in this half.
    pub(crate) warnings: u64,
}

impl Bundle {
    /// The bundle in `folder`, if it is finished and was made of exactly this.
    fn finished(folder: &Path, fingerprint: &str) -> Option<Self> {
        let text = fs::read_to_string(folder.join("bundle.json")).ok()?;
        let record: Value = serde_json::from_str(&text).ok()?;
        if record["fingerprint"] != fingerprint {
            return None;
        }
        Some(Self {
            folder: folder.to_path_buf(),
            optimised: record["optimised"].as_bool()?,
            warnings: record["warnings"].as_u64()?,
        })
    }

    /// Says that it is finished; nothing is written to the folder after this.
    fn finish(self, fingerprint: &str) -> Result<Self> {
        let Self { folder, optimised, warnings } = &self;
        let record =
            json!({ "fingerprint": fingerprint, "optimised": optimised, "warnings": warnings });
        fs::write(folder.join("bundle.json"), record.to_string())
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        Ok(self)
    }
}

/// Builds the browser half if anything that goes into it has changed. With
/// `show_warnings`, one that had warnings is compiled again, so that they are
/// seen (cargo keeps them: that takes a second).
pub(crate) fn ensure(workspace: &Workspace, show_warnings: bool) -> Result<Bundle> {
    let toolchain = Toolchain::ensure(workspace)?;
    let wasm_opt = WasmOpt::find(workspace);
    let fingerprint = fingerprint(workspace, &toolchain, wasm_opt.as_ref())?;
    let folder = workspace.wasm_target().join("bundle");
    if let Some(bundle) = Bundle::finished(&folder, &fingerprint)
        && !(show_warnings && bundle.warnings > 0)
    {
        say("wasm", "nothing changed");
        return Ok(bundle);
    }

    let started = Instant::now();
    say("wasm", format!("compiling the browser half ({})", compiler(&toolchain)));
    let (wasm, warnings) = compile(workspace, &toolchain)?;
    say("wasm", format!("compiled in {} s", started.elapsed().as_secs()));

    empty(&folder)?;
    let main = workspace.wasm_target().join("main.wasm");
    cut(&wasm, &main, &folder)?;
    bindgen(&main, &folder)?;
    let optimised = wasm_opt.is_some_and(|tool| shrink(&tool, &folder));
    Bundle { folder, optimised, warnings }.finish(&fingerprint)
}

fn compiler(toolchain: &Toolchain) -> &'static str {
    match toolchain {
        Toolchain::Own => "rustc",
        Toolchain::Debian { .. } => "Debian's rustc-web, with the standard library",
    }
}

/// What the result depends on: sources, compiler, flags, tools, this file.
fn fingerprint(
    workspace: &Workspace,
    toolchain: &Toolchain,
    wasm_opt: Option<&WasmOpt>,
) -> Result<String> {
    let mut fingerprint = Fingerprint::default();
    for source in SOURCES {
        fingerprint.path(&workspace.root, source)?;
    }
    fingerprint.bytes("compiler", toolchain.version(&workspace.root)?.as_bytes());
    fingerprint.bytes("wasm-opt", wasm_opt.map_or("", |tool| &tool.version).as_bytes());
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    fingerprint.bytes("RUSTFLAGS", flags.as_bytes());
    fingerprint.bytes("pipeline", include_bytes!("wasm.rs"));
    fingerprint.bytes("toolchain", include_bytes!("toolchain.rs"));
    Ok(fingerprint.finish())
}

/// Compiles `frontend`; answers with the `.wasm` file and the number of
/// warnings. Warnings are counted, not made errors by a flag: a flag in
/// `RUSTFLAGS` would compile everything anew for the tests.
fn compile(workspace: &Workspace, toolchain: &Toolchain) -> Result<(PathBuf, u64)> {
    let mut cargo = toolchain.cargo_build(workspace);
    cargo.args(["--locked", "--package", "frontend", "--profile", "wasm-release"]);
    cargo.arg("--message-format=json");
    // What refers to what, for `cut`.
    cargo.args(["--", "-Clink-args=--emit-relocs"]);
    let mut report = Report::default();
    let succeeded = each_line(&mut cargo, |line| {
        if let Some(text) = report.read(line) {
            eprint!("{text}");
        }
    })?;
    if !succeeded {
        bail!("the browser half does not compile");
    }
    let wasm = report.wasm.context("cargo built no WebAssembly file")?;
    Ok((wasm, report.warnings))
}

/// What cargo's messages said.
#[derive(Default)]
struct Report {
    wasm: Option<PathBuf>,
    warnings: u64,
}

impl Report {
    /// Reads one message; answers with the text to show, if it has one.
    fn read(&mut self, line: &str) -> Option<String> {
        let message: Value = serde_json::from_str(line).ok()?;
        match message["reason"].as_str()? {
            "compiler-message" => {
                let message = &message["message"];
                // A summary ("2 warnings emitted") has no place in the code.
                let placed = message["spans"].as_array().is_some_and(|spans| !spans.is_empty());
                self.warnings += u64::from(placed && message["level"] == "warning");
                message["rendered"].as_str().map(str::to_owned)
            }
            "compiler-artifact" if message["target"]["name"] == "frontend" => {
                let files = message["filenames"].as_array()?;
                let wasm = files.iter().filter_map(Value::as_str).find(|f| f.ends_with(".wasm"));
                self.wasm = wasm.map(PathBuf::from).or(self.wasm.take());
                None
            }
            _ => None,
        }
    }
}

/// A new, empty folder in the place of an old one.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Cuts the module: what only pages of the later parts reach goes to the
/// [`PIECES`], the rest to `main`.
fn cut(wasm: &Path, main: &Path, folder: &Path) -> Result<()> {
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let main_module = format!("./{NAME}.js");
    let mut options = wasm_split_cli_support::Options::new(&bytes);
    options.output_dir = folder;
    options.main_out_path = main;
    options.main_module = &main_module;
    let cut = wasm_split_cli_support::transform(options).map_err(|error| {
        anyhow!("cannot cut the WebAssembly (is the linker too old?): {error:#}")
    })?;
    let mut files: Vec<_> = cut.split_modules.iter().filter_map(|path| path.file_name()).collect();
    let mut expected = PIECES.map(|piece| piece.file);
    files.sort_unstable();
    expected.sort_unstable();
    if files != expected {
        bail!("the WebAssembly was cut into {files:?}; {expected:?} were expected");
    }
    Ok(())
}

/// The JavaScript that loads the module. It is linked into xtask at the very
/// version that `app` uses: the two speak a private language.
fn bindgen(wasm: &Path, folder: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .out_name(NAME)
        .web(true)?
        .typescript(false)
        // The pieces share the first file's memory, table and stack.
        .keep_lld_exports(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
        .context("wasm-bindgen failed")
}

/// Whether it worked: a site that is too large is better than none.
fn shrink(tool: &WasmOpt, folder: &Path) -> bool {
    let started = Instant::now();
    say("wasm-opt", "making it small");
    let main = format!("{NAME}_bg.wasm");
    let mut files = PIECES.iter().map(|piece| piece.file).chain([main.as_str()]);
    match files.try_for_each(|file| tool.shrink(&folder.join(file), &WASM_OPT)) {
        Ok(()) => {
            say("wasm-opt", format!("done in {} s", started.elapsed().as_secs()));
            true
        }
        Err(error) => {
            say("wasm-opt", format!("left out, so the site is larger: {error:#}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_messages_name_the_file_and_the_warnings() {
        let mut report = Report::default();
        let warning = r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"warning: unused\n","spans":[{}]}}"#;
        let summary = r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"1 warning emitted\n","spans":[]}}"#;
        let artifact = r#"{"reason":"compiler-artifact","target":{"name":"frontend"},"filenames":["/t/frontend.d","/t/frontend.wasm"]}"#;
        assert_eq!(report.read(warning).as_deref(), Some("warning: unused\n"));
        assert!(report.read(summary).is_some());
        assert_eq!(report.read(artifact), None);
        assert_eq!(report.read("not a message"), None);
        assert_eq!(report.warnings, 1);
        assert_eq!(report.wasm.as_deref(), Some(Path::new("/t/frontend.wasm")));
    }

    #[test]
    fn a_bundle_counts_only_when_finished_from_the_same_input() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Bundle::finished(folder.path(), "abc").is_none());
        let bundle = Bundle { folder: folder.path().into(), optimised: true, warnings: 2 };
        bundle.finish("abc").unwrap();
        let again = Bundle::finished(folder.path(), "abc").unwrap();
        assert!(again.optimised && again.warnings == 2);
        assert!(Bundle::finished(folder.path(), "abd").is_none());
    }
}

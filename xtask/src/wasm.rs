//! Builds `frontend` as WebAssembly, together with the JavaScript that loads it.

use crate::command::{each_line, say, with_low_priority};
use crate::files;
use crate::node::WasmOpt;
use crate::site_tools::Source;
use crate::stamp::Fingerprint;
use crate::timings;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How the WebAssembly is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Compiles fast: not optimized, not split and not compressed.
    Development,
    /// Loads fast: optimized for size, split and compressed. Tests and releases use it.
    Optimized,
}

impl Variant {
    /// The profile in `Cargo.toml`.
    const fn profile(self) -> &'static str {
        match self {
            Self::Development => "wasm-dev",
            Self::Optimized => "wasm-release",
        }
    }

    const fn bundle_folder(self) -> &'static str {
        match self {
            Self::Development => "bundle-dev",
            Self::Optimized => "bundle",
        }
    }
}

/// The base of all file names: `rehearsal.js`, `rehearsal_bg.wasm`.
pub(crate) const NAME: &str = "rehearsal";

/// The JavaScript that loads the [`CHUNKS`]. The splitter chooses the name.
pub(crate) const LOADER: &str = "__wasm_split.js";

/// A WebAssembly file that is loaded on demand.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The file name in the bundle, chosen by the splitter.
    pub(crate) file: &'static str,
    /// The suffix of its name in the site; `app/src/pages/lazy_routes.rs` has it too.
    pub(crate) served: &'static str,
}

/// The three chunks of `app/src/pages/lazy_routes.rs`, and the code that two or three of
/// them need. The splitter numbers the latter by the names of the chunks that share them.
pub(crate) const CHUNKS: [Chunk; 7] = [
    Chunk { file: "split_agents.wasm", served: "_agents.wasm" },
    Chunk { file: "split_scenarios.wasm", served: "_scenarios.wasm" },
    Chunk { file: "split_setup.wasm", served: "_setup.wasm" },
    Chunk { file: "chunk_4.wasm", served: "_agents_scenarios.wasm" },
    Chunk { file: "chunk_5.wasm", served: "_shared.wasm" },
    Chunk { file: "chunk_6.wasm", served: "_agents_setup.wasm" },
    Chunk { file: "chunk_7.wasm", served: "_scenarios_setup.wasm" },
];

/// A WebAssembly module without contents.
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The sources of `frontend`.
const SOURCES: [&str; 6] =
    ["app", "crates/domain", "frontend", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"];

/// The features that rustc and wasm-bindgen may use. All browsers since 2023 support
/// them.
const WASM_OPT: [&str; 7] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-sign-ext",
];

#[derive(Debug)]
pub(crate) struct Bundle {
    /// Contains `rehearsal.js`, `rehearsal_bg.wasm`, [`LOADER`], the [`CHUNKS`] and
    /// possibly `snippets/`.
    pub(crate) folder: PathBuf,
    /// Whether the [`CHUNKS`] have contents.
    pub(crate) split: bool,
    /// Whether `wasm-opt` optimized it.
    pub(crate) optimized: bool,
    /// The number of compiler warnings in our code.
    pub(crate) warnings: u64,
}

impl Bundle {
    /// Reads a bundle that was finished with this fingerprint.
    fn finished(folder: &Path, fingerprint: &str) -> Option<Self> {
        let text = fs::read_to_string(folder.join("bundle.json")).ok()?;
        let record: Value = serde_json::from_str(&text).ok()?;
        if record["fingerprint"] != fingerprint {
            return None;
        }
        Some(Self {
            folder: folder.to_path_buf(),
            split: record["split"].as_bool()?,
            optimized: record["optimized"].as_bool()?,
            warnings: record["warnings"].as_u64()?,
        })
    }

    /// Marks the bundle as finished. Nothing is written to the folder afterwards.
    fn finish(self, fingerprint: &str) -> Result<Self> {
        let Self { folder, split, optimized, warnings } = &self;
        let record = json!({
            "fingerprint": fingerprint, "split": split, "optimized": optimized, "warnings": warnings,
        });
        files::write(&folder.join("bundle.json"), record.to_string())?;
        Ok(self)
    }
}

/// Builds the bundle if its inputs changed. With `show_warnings`, a bundle that had
/// warnings is compiled again to show them; cargo repeats them from its cache.
pub(crate) fn ensure(
    workspace: &Workspace,
    variant: Variant,
    show_warnings: bool,
    tools: &mut Source<'_>,
) -> Result<Bundle> {
    let toolchain = timings::measure("wasm: find compiler", || Toolchain::ensure(workspace))?;
    let wasm_opt = match variant {
        Variant::Development => None,
        Variant::Optimized => WasmOpt::find(workspace),
    };
    let fingerprint = fingerprint(workspace, variant, &toolchain, wasm_opt.as_ref())?;
    let folder = workspace.wasm_target().join(variant.bundle_folder());
    if let Some(bundle) = Bundle::finished(&folder, &fingerprint)
        && !(show_warnings && bundle.warnings > 0)
    {
        say("wasm", "unchanged");
        return Ok(bundle);
    }

    let started = Instant::now();
    let compiler = match toolchain {
        Toolchain::Default => "rustc",
        Toolchain::Debian { .. } => "Debian's rustc-web, with the standard library",
    };
    say("wasm", format!("compiling the pages ({compiler})"));
    let (wasm, warnings) =
        timings::measure("wasm: cargo rustc", || compile(workspace, variant, &toolchain))?;
    say("wasm", format!("compiled in {} s", started.elapsed().as_secs()));

    files::empty_folder(&folder)?;
    let tools = timings::measure("wasm: wait for site-tools", || tools.get())?;
    timings::measure("wasm: site-tools", || match variant {
        Variant::Development => {
            for chunk in &CHUNKS {
                files::write(&folder.join(chunk.file), EMPTY_MODULE)?;
            }
            tools.bindgen(NAME, &wasm, &folder)
        }
        Variant::Optimized => tools.split(NAME, &wasm, &folder, &CHUNKS.map(|chunk| chunk.file)),
    })?;
    let optimized = wasm_opt.is_some_and(|tool| optimize(&tool, &folder));
    let split = variant == Variant::Optimized;
    Bundle { folder, split, optimized, warnings }.finish(&fingerprint)
}

fn fingerprint(
    workspace: &Workspace,
    variant: Variant,
    toolchain: &Toolchain,
    wasm_opt: Option<&WasmOpt>,
) -> Result<String> {
    let mut fingerprint = Fingerprint::default();
    for source in SOURCES {
        fingerprint.path(&workspace.root, source)?;
    }
    fingerprint.bytes("profile", variant.profile().as_bytes());
    fingerprint.bytes("compiler", toolchain.version(&workspace.root)?.as_bytes());
    fingerprint.bytes("wasm-opt", wasm_opt.map_or("", |tool| &tool.version).as_bytes());
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    fingerprint.bytes("RUSTFLAGS", flags.as_bytes());
    fingerprint.bytes("pipeline", include_bytes!("wasm.rs"));
    fingerprint.bytes("toolchain", include_bytes!("toolchain.rs"));
    fingerprint.path(&workspace.root, "xtask/site-tools/src")?;
    Ok(fingerprint.finish())
}

/// Compiles `frontend`. Returns the `.wasm` file and the number of warnings. They
/// are not turned into errors by `-D warnings`, because other compiler flags would
/// compile everything again.
fn compile(
    workspace: &Workspace,
    variant: Variant,
    toolchain: &Toolchain,
) -> Result<(PathBuf, u64)> {
    let mut cargo = toolchain.cargo_build(workspace);
    cargo.args(["--locked", "--package", "frontend", "--profile", variant.profile()]);
    cargo.args(["--message-format=json", "--"]);
    cargo.arg(match variant {
        // Callbacks are called through the table.
        Variant::Development => "-Clink-args=--export-table",
        // The splitter reads the relocations.
        Variant::Optimized => "-Clink-args=--emit-relocs",
    });
    if variant == Variant::Development {
        // The server needs the cores first.
        cargo = with_low_priority(cargo);
    }
    let mut report = Report::default();
    let succeeded = each_line(&mut cargo, |line| {
        if let Some(text) = report.read(line) {
            eprint!("{text}");
        }
    })?;
    if !succeeded {
        bail!("the WebAssembly build failed");
    }
    let wasm = report.wasm.context("cargo built no WebAssembly file")?;
    Ok((wasm, report.warnings))
}

/// What the JSON messages of cargo contain.
#[derive(Default)]
struct Report {
    wasm: Option<PathBuf>,
    warnings: u64,
}

impl Report {
    /// Reads one message. Returns its text if it is a diagnostic.
    fn read(&mut self, line: &str) -> Option<String> {
        let message: Value = serde_json::from_str(line).ok()?;
        match message["reason"].as_str()? {
            "compiler-message" => {
                let message = &message["message"];
                // A summary such as "2 warnings emitted" has no span.
                let has_span = message["spans"].as_array().is_some_and(|spans| !spans.is_empty());
                self.warnings += u64::from(has_span && message["level"] == "warning");
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

/// Returns whether it succeeded. A larger site is better than none.
fn optimize(tool: &WasmOpt, folder: &Path) -> bool {
    let main = format!("{NAME}_bg.wasm");
    let mut files = CHUNKS.iter().map(|chunk| chunk.file).chain([main.as_str()]);
    say("wasm-opt", "optimizing");
    let result = timings::measure("wasm: wasm-opt", || {
        files.try_for_each(|file| tool.shrink(&folder.join(file), &WASM_OPT))
    });
    if let Err(error) = &result {
        say("wasm-opt", format!("skipped, so the site is larger: {error:#}"));
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_contains_file_and_warnings() {
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
    fn bundle_is_reused_only_for_the_same_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Bundle::finished(folder.path(), "abc").is_none());
        let bundle =
            Bundle { folder: folder.path().into(), split: true, optimized: true, warnings: 2 };
        bundle.finish("abc").unwrap();
        let reused = Bundle::finished(folder.path(), "abc").unwrap();
        assert!(reused.optimized && reused.warnings == 2);
        assert!(Bundle::finished(folder.path(), "abd").is_none());
    }
}

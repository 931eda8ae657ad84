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
use std::collections::BTreeMap;
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

/// The JavaScript that loads the chunks. The splitter chooses the name.
pub(crate) const LOADER: &str = "__wasm_split.js";

/// A WebAssembly file that is loaded on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The file name in the bundle, chosen by the splitter.
    pub(crate) file: String,
    /// The chunks of `app/src/pages/lazy_routes.rs` that need it.
    pub(crate) users: Vec<String>,
}

impl Chunk {
    /// The suffix of its name in the site, which lists its users.
    pub(crate) fn served(&self) -> String {
        format!("_{}.wasm", self.users.join("_"))
    }
}

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
    /// Contains `rehearsal.js`, `rehearsal_bg.wasm`, [`LOADER`], the chunks and possibly
    /// `snippets/`.
    pub(crate) folder: PathBuf,
    /// Empty if it is not split.
    pub(crate) chunks: Vec<Chunk>,
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
            chunks: chunks(folder).ok()?,
            optimized: record["optimized"].as_bool()?,
            warnings: record["warnings"].as_u64()?,
        })
    }

    /// Marks the bundle as finished. Nothing is written to the folder afterwards.
    fn finish(self, fingerprint: &str) -> Result<Self> {
        let Self { folder, optimized, warnings, .. } = &self;
        let record = json!({
            "fingerprint": fingerprint, "optimized": optimized, "warnings": warnings,
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
        Variant::Development => tools.bindgen(NAME, &wasm, &folder),
        Variant::Optimized => tools.split(NAME, &wasm, &folder),
    })?;
    let chunks = chunks(&folder)?;
    let optimized = wasm_opt.is_some_and(|tool| optimize(&tool, &folder, &chunks));
    Bundle { folder, chunks, optimized, warnings }.finish(&fingerprint)
}

/// Reads the `chunks.json` of a bundle. A bundle that is not split has none.
fn chunks(folder: &Path) -> Result<Vec<Chunk>> {
    let path = folder.join("chunks.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let record: BTreeMap<String, Vec<String>> = serde_json::from_slice(&files::read(&path)?)
        .with_context(|| format!("cannot parse {}", path.display()))?;
    Ok(record.into_iter().map(|(file, users)| Chunk { file, users }).collect())
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
fn optimize(tool: &WasmOpt, folder: &Path, chunks: &[Chunk]) -> bool {
    let main = format!("{NAME}_bg.wasm");
    let mut files = chunks.iter().map(|chunk| chunk.file.as_str()).chain([main.as_str()]);
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
        let record = r#"{"chunk_1.wasm": ["agents", "setup"]}"#;
        fs::write(folder.path().join("chunks.json"), record).unwrap();
        let chunks = chunks(folder.path()).unwrap();
        assert_eq!(chunks[0].served(), "_agents_setup.wasm");
        let bundle = Bundle { folder: folder.path().into(), chunks, optimized: true, warnings: 2 };
        bundle.finish("abc").unwrap();
        let reused = Bundle::finished(folder.path(), "abc").unwrap();
        assert!(reused.optimized && reused.warnings == 2 && reused.chunks.len() == 1);
        assert!(Bundle::finished(folder.path(), "abd").is_none());
    }
}

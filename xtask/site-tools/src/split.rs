//! Splits the module into a main part and lazy chunks.

use crate::bindgen;
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::Path;

/// Writes the loader `__wasm_split.js`, the chunks, and what wasm-bindgen makes
/// of the main part. Fails if the chunks are not exactly the expected ones.
pub(crate) fn generate(name: &str, wasm: &Path, folder: &Path, expected: &[&str]) -> Result<()> {
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let main_part = wasm.with_extension("main.wasm");
    let main_module = format!("./{name}.js");
    let mut options = wasm_split_cli_support::Options::new(&bytes);
    options.output_dir = folder;
    options.main_out_path = &main_part;
    options.main_module = &main_module;
    let split = wasm_split_cli_support::transform(options).map_err(|error| {
        anyhow!("cannot split the WebAssembly (is the linker too old?): {error:#}")
    })?;
    let mut files: Vec<_> = split
        .split_modules
        .iter()
        .filter_map(|path| path.file_name().and_then(|name| name.to_str()))
        .collect();
    let mut expected = expected.to_vec();
    files.sort_unstable();
    expected.sort_unstable();
    if files != expected {
        bail!("the WebAssembly was split into {files:?}; {expected:?} were expected");
    }
    bindgen::generate(name, &main_part)?.emit(folder)
}

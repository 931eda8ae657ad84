//! The settings of wasm-bindgen, which generates the JavaScript that loads the
//! module. The library has exactly the version of the crate `wasm-bindgen` that
//! `app` uses: their private interface changes with every version.

use anyhow::{Context, Result};
use std::path::Path;
use wasm_bindgen_cli_support::{Bindgen, Output};

/// Generates `NAME.js` and `NAME_bg.wasm`. The caller writes the output.
pub(crate) fn generate(name: &str, wasm: &Path) -> Result<Output> {
    Bindgen::new()
        .input_path(wasm)
        .out_name(name)
        .web(true)?
        .typescript(false)
        // Lazy chunks use the memory, table and stack of the main module.
        .keep_lld_exports(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()
        .context("wasm-bindgen failed")
}

//! Post-processes the WebAssembly of the pages and compresses the site.
//!
//! `cargo xtask` starts this program. It is a crate of its own because its
//! libraries compile slowly: `xtask` starts without them, and builds them while
//! the server and the WebAssembly compile.

mod bindgen;
#[cfg(feature = "optimize")]
mod compress;
#[cfg(feature = "optimize")]
mod split;
mod unsplit;

use anyhow::{Result, bail};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
site-tools bindgen NAME WASM FOLDER         write NAME.js, NAME_bg.wasm and the loader for an unsplit module
site-tools split NAME WASM FOLDER           the same, with lazy chunks in files of their own, and chunks.json
site-tools compress FILE…                   write FILE.br and FILE.gz for every file
`split` and `compress` need the feature `optimize`.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("site-tools: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Result<()> {
    match args {
        ["bindgen", name, wasm, folder] => {
            unsplit::generate(name, Path::new(wasm), Path::new(folder))
        }
        #[cfg(feature = "optimize")]
        ["split", name, wasm, folder] => split::generate(name, Path::new(wasm), Path::new(folder)),
        #[cfg(feature = "optimize")]
        ["compress", files @ ..] => compress::compress_files(files),
        _ => bail!("usage:\n{USAGE}"),
    }
}

//! Splits the module into a main part and lazy chunks.

use crate::bindgen;
use anyhow::{Context, Result, anyhow};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Writes the loader `__wasm_split.js`, the chunks, what wasm-bindgen makes of the main
/// part, and `chunks.json`: the chunks that need each file of WebAssembly.
pub(crate) fn generate(name: &str, wasm: &Path, folder: &Path) -> Result<()> {
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
    let record = serde_json::to_vec(&users(&split.prefetch_map))?;
    let path = folder.join("chunks.json");
    fs::write(&path, record).with_context(|| format!("cannot write {}", path.display()))?;
    bindgen::generate(name, &main_part)?.emit(folder)
}

/// The chunks that need each file, from the files that each chunk needs.
fn users<'a>(
    files_of_chunks: impl IntoIterator<Item = (&'a String, &'a Vec<String>)>,
) -> BTreeMap<String, BTreeSet<&'a str>> {
    let mut users = BTreeMap::<String, BTreeSet<&str>>::new();
    for (chunk, files) in files_of_chunks {
        for file in files {
            users.entry(format!("{file}.wasm")).or_default().insert(chunk);
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::users;
    use std::collections::BTreeMap;

    #[test]
    fn files_are_listed_with_all_of_their_users() {
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let needed: BTreeMap<String, Vec<String>> = BTreeMap::from([
            ("agents".into(), files(&["chunk_4", "split_agents"])),
            ("setup".into(), files(&["chunk_4", "split_setup"])),
        ]);
        let json = serde_json::to_string(&users(&needed)).unwrap();
        let expected = r#"{"chunk_4.wasm":["agents","setup"],"split_agents.wasm":["agents"],"split_setup.wasm":["setup"]}"#;
        assert_eq!(json, expected);
    }
}

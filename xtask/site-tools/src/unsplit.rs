//! Serves a module that was not split.
//!
//! The macro `wasm_split` makes the module import each lazy function, and a
//! function that loads its chunk, from a placeholder that the splitter replaces.
//! Here a few lines of JavaScript provide both: the lazy functions are exports of
//! the module itself, and there is nothing to load.

use crate::bindgen;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The module name that `wasm_split_macros` writes into imports.
const PLACEHOLDER: &str = "__wasm_split_placeholder__";
/// The file name that the splitter gives its loader.
const LOADER: &str = "__wasm_split.js";

pub(crate) fn generate(name: &str, wasm: &Path, folder: &Path) -> Result<()> {
    let mut output = bindgen::generate(name, wasm)?;
    let imports: BTreeSet<String> = output
        .wasm_mut()
        .imports
        .iter()
        .filter(|import| import.module == PLACEHOLDER)
        .map(|import| import.name.clone())
        .collect();
    output.emit(folder)?;

    let script = folder.join(format!("{name}.js"));
    let text = fs::read_to_string(&script)
        .with_context(|| format!("cannot read {}", script.display()))?
        .replace(&format!("from \"{PLACEHOLDER}\""), &format!("from \"./{LOADER}\""));
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    let loader = folder.join(LOADER);
    fs::write(&loader, loader_script(name, &imports))
        .with_context(|| format!("cannot write {}", loader.display()))
}

/// The script that provides these imports.
fn loader_script(name: &str, imports: &BTreeSet<String>) -> String {
    let mut script = format!("import {{ initSync }} from \"./{name}.js\";\n");
    for import in imports {
        let body = if import.starts_with("__wasm_split_load_") {
            // The Rust side still holds its lock during this call, so the callback
            // comes later.
            "(callback, data) => queueMicrotask(() => \
             initSync().__indirect_function_table.get(callback)(data, 1))"
                .to_owned()
        } else {
            let export = import.replacen("00_import_", "00_export_", 1);
            format!("(...values) => initSync().{export}(...values)")
        };
        script.push_str(&format!("export const {import} = {body};\n"));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::loader_script;

    #[test]
    fn loader_forwards_imports_to_exports() {
        let imports = ["__wasm_split_load_write", "__wasm_split_00write00_import_ab_page"];
        let script = loader_script("rehearsal", &imports.map(str::to_owned).into());
        let lines: Vec<_> = script.lines().collect();
        assert_eq!(
            lines,
            [
                "import { initSync } from \"./rehearsal.js\";",
                "export const __wasm_split_00write00_import_ab_page = (...values) => \
                 initSync().__wasm_split_00write00_export_ab_page(...values);",
                "export const __wasm_split_load_write = (callback, data) => queueMicrotask(() => \
                 initSync().__indirect_function_table.get(callback)(data, 1));",
            ]
        );
    }
}

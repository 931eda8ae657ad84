//! The size of the WebAssembly, and its budget.

use crate::command::say;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Target for the WebAssembly that every page loads, in KB of Brotli.
pub(crate) const TARGET_KB: f64 = 300.0;
/// Limit for the WebAssembly that one page loads, including its chunks.
pub(crate) const LIMIT_KB: f64 = 400.0;

/// KB of WebAssembly in Brotli.
#[derive(Debug, Default)]
pub(crate) struct WasmSize {
    /// What every page loads.
    pub(crate) main: f64,
    /// The chunk of the editors.
    editors: f64,
    /// The chunk of the start form and the settings.
    setup: f64,
    /// The chunk that both need.
    shared: f64,
}

impl WasmSize {
    /// Adds a file of the site.
    pub(crate) fn add(&mut self, name: &str, brotli: f64) {
        let part = match name {
            _ if name.ends_with("_editors.wasm") => &mut self.editors,
            _ if name.ends_with("_setup.wasm") => &mut self.setup,
            _ if name.ends_with("_shared.wasm") => &mut self.shared,
            _ if name.ends_with(".wasm") => &mut self.main,
            _ => return,
        };
        *part += brotli;
    }

    /// What the largest page loads.
    pub(crate) fn largest_page(&self) -> f64 {
        self.main + self.shared + self.editors.max(self.setup)
    }
}

/// Prints the sizes. Fails if the largest page is over the limit. A site that
/// `wasm-opt` did not optimize is not shipped, and therefore has no limit.
pub(crate) fn check(record: &Value) -> Result<()> {
    let mut size = WasmSize::default();
    for file in record["files"].as_array().context("site.json lists no files")? {
        let kb = |key: &str| file[key].as_f64().unwrap_or(0.0) / 1000.0;
        let name = file["name"].as_str().unwrap_or("?");
        let (raw, gzip, brotli) = (kb("raw"), kb("gzip"), kb("brotli"));
        size.add(name, brotli);
        say("", format!("{name}: {raw:.1} KB, gzip {gzip:.1} KB, brotli {brotli:.1} KB"));
    }
    let WasmSize { main, editors, setup, shared } = size;
    let largest = size.largest_page();
    say(
        "site",
        format!(
            "WebAssembly in Brotli: {main:.1} KB on every page; editors {editors:.1} KB, \
             settings {setup:.1} KB, shared by both {shared:.1} KB; \
             largest page {largest:.1} KB"
        ),
    );
    let optimized = record["optimized"].as_bool().unwrap_or(false);
    if is_over_target(main, largest, optimized)? {
        say("site", format!("the WebAssembly is over its target of {TARGET_KB} KB of Brotli"));
    }
    Ok(())
}

/// Fails if an optimized site is over the limit.
fn is_over_target(main: f64, largest: f64, optimized: bool) -> Result<bool> {
    ensure!(
        largest <= LIMIT_KB || !optimized,
        "the largest page loads {largest:.1} KB of WebAssembly in Brotli; the limit is {LIMIT_KB} KB"
    );
    Ok(main > TARGET_KB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::CHUNKS;
    use serde_json::json;

    #[test]
    fn limit_applies_to_optimized_sites_only() {
        assert!(!is_over_target(300.0, 300.0, true).unwrap());
        assert!(!is_over_target(300.0, 400.0, true).unwrap());
        assert!(is_over_target(300.1, 300.1, true).unwrap());
        assert!(is_over_target(400.0, 400.0, true).unwrap());
        assert!(is_over_target(400.1, 400.1, true).is_err());
        assert!(is_over_target(900.0, 900.0, false).unwrap());
    }

    #[test]
    fn limit_applies_to_the_largest_page() {
        let checked = |setup: u32, editors: u32, shared: u32| {
            let sizes = [setup, editors, shared];
            let mut files = vec![
                json!({ "name": "a_bg.wasm", "raw": 900_000, "gzip": 500_000, "brotli": 290_000 }),
                json!({ "name": "a.css", "raw": 1, "gzip": 1, "brotli": 999_999 }),
            ];
            for (chunk, brotli) in CHUNKS.iter().zip(sizes) {
                let name = format!("a{}", chunk.served);
                files.push(json!({ "name": name, "raw": 9, "gzip": 9, "brotli": brotli }));
            }
            check(&json!({ "optimized": true, "files": files }))
        };
        // No page loads both chunks; a page with one of them loads the shared one too.
        checked(60_000, 60_000, 50_000).unwrap();
        for (setup, editors, shared) in
            [(60_100, 60_000, 50_000), (60_000, 60_100, 50_000), (60_000, 60_000, 50_100)]
        {
            let refused = checked(setup, editors, shared).unwrap_err().to_string();
            assert!(refused.contains("400.1 KB of WebAssembly"), "{refused}");
        }
    }
}

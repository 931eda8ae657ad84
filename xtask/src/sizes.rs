//! The size of the WebAssembly, and its budget.

use crate::command::say;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// Target for the WebAssembly that every page loads, in KB of Brotli.
pub(crate) const TARGET_KB: f64 = 300.0;
/// Limit for the WebAssembly that one page loads, including its chunks.
pub(crate) const LIMIT_KB: f64 = 400.0;

/// KB of WebAssembly in Brotli.
#[derive(Debug, Default)]
pub(crate) struct WasmSize {
    /// What every page loads.
    pub(crate) main: f64,
    /// What the pages of each chunk load in addition, with the files that it shares.
    chunks: BTreeMap<String, f64>,
}

impl WasmSize {
    /// Adds a file of the site. The name of a lazy file contains the chunks that load it.
    pub(crate) fn add(&mut self, name: &str, brotli: f64) {
        let Some(stem) = name.strip_suffix(".wasm") else { return };
        if stem.ends_with("_bg") {
            self.main += brotli;
            return;
        }
        for chunk in stem.split('_').skip(1) {
            *self.chunks.entry(chunk.to_owned()).or_default() += brotli;
        }
    }

    /// What the largest page loads.
    pub(crate) fn largest_page(&self) -> f64 {
        self.main + self.chunks.values().fold(0.0, |largest, size| size.max(largest))
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
    let (main, largest) = (size.main, size.largest_page());
    let chunks: Vec<_> =
        size.chunks.iter().map(|(name, kb)| format!("{name} {kb:.1} KB")).collect();
    say(
        "site",
        format!(
            "WebAssembly in Brotli: {main:.1} KB on every page, and on demand {}; \
             largest page {largest:.1} KB",
            chunks.join(", ")
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
        let names = ["_agents", "_setup", "_agents_setup", "_agents_results_setup", "_results"];
        let checked = |sizes: [u32; 5]| {
            let mut files = vec![
                json!({ "name": "a_bg.wasm", "raw": 900_000, "gzip": 500_000, "brotli": 290_000 }),
                json!({ "name": "a.css", "raw": 1, "gzip": 1, "brotli": 999_999 }),
            ];
            for (name, brotli) in names.iter().zip(sizes) {
                let name = format!("a{name}.wasm");
                files.push(json!({ "name": name, "raw": 9, "gzip": 9, "brotli": brotli }));
            }
            check(&json!({ "optimized": true, "files": files }))
        };
        // A page loads one chunk, and the files that this one shares: here 110 KB for each.
        let most = [60_000, 60_000, 20_000, 30_000, 80_000];
        checked(most).unwrap();
        for at in 0..most.len() {
            let mut sizes = most;
            sizes[at] += 100;
            let refused = checked(sizes).unwrap_err().to_string();
            assert!(refused.contains("400.1 KB of WebAssembly"), "{refused}");
        }
    }
}

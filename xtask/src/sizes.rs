//! What the site weighs, and the most it may.

use crate::command::say;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What the WebAssembly of every page should be at most, in brotli.
pub(crate) const TARGET_KB: f64 = 300.0;
/// What a page may load of it at most, with the pieces that it needs.
pub(crate) const LIMIT_KB: f64 = 400.0;

/// Kilobytes of WebAssembly, in brotli.
#[derive(Debug, Default)]
pub(crate) struct Weight {
    /// What every page loads, and whatever is not known to be less.
    pub(crate) every: f64,
    /// More for pages where one writes.
    write: f64,
    /// More for pages where one sets something up.
    set_up: f64,
    /// More for both.
    shared: f64,
}

impl Weight {
    /// Counts a file of the site, by its name and its KB in brotli.
    pub(crate) fn add(&mut self, name: &str, brotli: f64) {
        let place = match name {
            _ if name.ends_with("_write.wasm") => &mut self.write,
            _ if name.ends_with("_set_up.wasm") => &mut self.set_up,
            _ if name.ends_with("_shared.wasm") => &mut self.shared,
            _ if name.ends_with(".wasm") => &mut self.every,
            _ => return,
        };
        *place += brotli;
    }

    /// The most that one page loads.
    pub(crate) fn most(&self) -> f64 {
        self.every + self.shared + self.write.max(self.set_up)
    }
}

/// Prints the sizes; an error if the WebAssembly of any page is over its limit:
/// what every page loads, and what its part loads besides. One that `wasm-opt`
/// never saw is not what we ship, and is only shown.
pub(crate) fn judge(record: &Value) -> Result<()> {
    let mut weight = Weight::default();
    for file in record["files"].as_array().context("site.json lists no files")? {
        let kb = |key: &str| file[key].as_f64().unwrap_or(0.0) / 1000.0;
        let name = file["name"].as_str().unwrap_or("?");
        let (raw, gzip, brotli) = (kb("raw"), kb("gzip"), kb("brotli"));
        weight.add(name, brotli);
        say("", format!("{name}: {raw:.1} KB, gzip {gzip:.1} KB, brotli {brotli:.1} KB"));
    }
    let Weight { every, write, set_up, shared } = weight;
    let most = weight.most();
    say(
        "site",
        format!(
            "WebAssembly in brotli: {every:.1} KB for every page; more where one writes \
             {write:.1} KB, where one sets up {set_up:.1} KB, for both {shared:.1} KB; \
             {most:.1} KB at most"
        ),
    );
    let optimised = record["optimised"].as_bool().unwrap_or(false);
    match verdict(every, most, optimised) {
        Size::Fits => Ok(()),
        Size::OverTarget => {
            say("site", format!("the WebAssembly is over its target of {TARGET_KB} KB in brotli"));
            Ok(())
        }
        Size::OverLimit => bail!(
            "the WebAssembly of a page is {most:.1} KB in brotli; {LIMIT_KB} KB is the most it may cost",
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Size {
    Fits,
    OverTarget,
    OverLimit,
}

/// `every`: what every page loads; `most`: the most that one loads.
fn verdict(every: f64, most: f64, optimised: bool) -> Size {
    if most > LIMIT_KB && optimised {
        Size::OverLimit
    } else if every > TARGET_KB {
        Size::OverTarget
    } else {
        Size::Fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::PIECES;
    use serde_json::json;

    #[test]
    fn only_what_is_shipped_is_held_to_the_limit() {
        assert_eq!(verdict(300.0, 300.0, true), Size::Fits);
        assert_eq!(verdict(300.0, 400.0, true), Size::Fits);
        assert_eq!(verdict(300.1, 300.1, true), Size::OverTarget);
        assert_eq!(verdict(400.0, 400.0, true), Size::OverTarget);
        assert_eq!(verdict(400.1, 400.1, true), Size::OverLimit);
        assert_eq!(verdict(900.0, 900.0, false), Size::OverTarget);
    }

    #[test]
    fn the_page_that_loads_most_is_held_to_the_limit() {
        let judged = |set_up: u32, write: u32, shared: u32| {
            let sizes = [set_up, write, shared];
            let mut files = vec![
                json!({ "name": "a_bg.wasm", "raw": 900_000, "gzip": 500_000, "brotli": 290_000 }),
                json!({ "name": "a.css", "raw": 1, "gzip": 1, "brotli": 999_999 }),
            ];
            for (piece, brotli) in PIECES.iter().zip(sizes) {
                let name = format!("a{}", piece.served);
                files.push(json!({ "name": name, "raw": 9, "gzip": 9, "brotli": brotli }));
            }
            judge(&json!({ "optimised": true, "files": files }))
        };
        // No page loads both parts, and each loads what they share.
        judged(60_000, 60_000, 50_000).unwrap();
        for (set_up, write, shared) in
            [(60_100, 60_000, 50_000), (60_000, 60_100, 50_000), (60_000, 60_000, 50_100)]
        {
            let refused = judged(set_up, write, shared).unwrap_err().to_string();
            assert!(refused.contains("400.1 KB in brotli"), "{refused}");
        }
    }
}

//! What the site weighs, and the most it may.

use crate::command::say;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What the WebAssembly of every page should be at most, in brotli.
const TARGET_KB: f64 = 300.0;
/// What a page may load of it at most, with the second file.
const LIMIT_KB: f64 = 400.0;

/// Prints the sizes; an error if the WebAssembly of any page is over its limit:
/// what every page loads, and what pages where one writes load besides. One that
/// `wasm-opt` never saw is not what we ship, and is only shown.
pub(crate) fn judge(record: &Value) -> Result<()> {
    let (mut every, mut later) = (0.0, 0.0);
    for file in record["files"].as_array().context("site.json lists no files")? {
        let kb = |key: &str| file[key].as_f64().unwrap_or(0.0) / 1000.0;
        let name = file["name"].as_str().unwrap_or("?");
        let (raw, gzip, brotli) = (kb("raw"), kb("gzip"), kb("brotli"));
        if name.ends_with("_later.wasm") {
            later += brotli;
        } else if name.ends_with(".wasm") {
            every += brotli;
        }
        say("", format!("{name}: {raw:.1} KB, gzip {gzip:.1} KB, brotli {brotli:.1} KB"));
    }
    say(
        "site",
        format!(
            "WebAssembly in brotli: {every:.1} KB for every page, \
             {later:.1} KB more for those where one writes"
        ),
    );
    let optimised = record["optimised"].as_bool().unwrap_or(false);
    match verdict(every, later, optimised) {
        Size::Fits => Ok(()),
        Size::OverTarget => {
            say("site", format!("the WebAssembly is over its target of {TARGET_KB} KB in brotli"));
            Ok(())
        }
        Size::OverLimit => bail!(
            "the WebAssembly of a page is {:.1} KB in brotli; {LIMIT_KB} KB is the most it may cost",
            every + later,
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Size {
    Fits,
    OverTarget,
    OverLimit,
}

fn verdict(every: f64, later: f64, optimised: bool) -> Size {
    if every + later > LIMIT_KB && optimised {
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
    use serde_json::json;

    #[test]
    fn only_what_is_shipped_is_held_to_the_limit() {
        assert_eq!(verdict(300.0, 0.0, true), Size::Fits);
        assert_eq!(verdict(300.0, 100.0, true), Size::Fits);
        assert_eq!(verdict(300.1, 0.0, true), Size::OverTarget);
        assert_eq!(verdict(400.0, 0.0, true), Size::OverTarget);
        assert_eq!(verdict(400.1, 0.0, true), Size::OverLimit);
        assert_eq!(verdict(900.0, 0.0, false), Size::OverTarget);
        let record = |later: u32| {
            json!({ "optimised": true, "files": [
                { "name": "a_bg.wasm", "raw": 900_000, "gzip": 500_000, "brotli": 290_000 },
                { "name": "a_later.wasm", "raw": 900_000, "gzip": 500_000, "brotli": later },
                { "name": "a.css", "raw": 1, "gzip": 1, "brotli": 999_999 },
            ]})
        };
        judge(&record(110_000)).unwrap();
        // What goes into the second file is not hidden there.
        assert!(judge(&record(110_100)).unwrap_err().to_string().contains("400.1 KB in brotli"));
    }
}

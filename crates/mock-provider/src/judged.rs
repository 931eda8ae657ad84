//! A judge's reply that is right in every way, for scripts to say.

use serde_json::{Value, json};

/// What a judge replies about a scenario of one item: it is met or not, by
/// these words of turn 1.
#[must_use]
pub fn judged(met: bool, quote: &str) -> Value {
    json!({
        "items": [{
            "index": 0,
            "reason": "It says so.",
            "met": met,
            "basis": "evidence",
            "evidence": [{ "turn": 1, "quote": quote }],
        }],
        "issues": [],
        "recommendations": [],
        "score": 90,
        "opinion": "Good.",
    })
}

//! Helpers for the tests of conversions.

#![allow(clippy::expect_used, clippy::panic, dead_code)] // each test uses a part of it

use domain::{AgentSpec, Draft};
use importers::{Conversion, convert};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The documents of a file with this content.
pub(crate) fn converted(name: &str, content: Value) -> Conversion {
    let (entries, is_list) = match content {
        Value::Array(entries) => (entries, true),
        other => (vec![other], false),
    };
    convert(name, entries, is_list).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

/// The only agent of a file, with the connection and model that an import would add.
pub(crate) fn agent(name: &str, content: Value) -> (AgentSpec, Conversion) {
    let conversion = converted(name, content);
    let [document] = conversion.documents.as_slice() else { panic!("{name}: not one document") };
    let mut document = document.0.clone();
    document["connection_id"] = json!("0190a000-0000-7000-8000-000000000001");
    if document["model"].is_null() {
        document["model"] = json!("m");
    }
    let spec = AgentSpec::parse(&Draft(document));
    (spec.unwrap_or_else(|problems| panic!("{name}: {problems:?}")), conversion)
}

/// A note, as `path: reason`, for each kind.
pub(crate) fn notes(conversion: &Conversion) -> Vec<String> {
    conversion.notes.iter().map(|note| format!("{}: {}", note.path, note.reason)).collect()
}

/// The folder with data of other projects, if it is present.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("REHEARSAL_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// The content of a file.
pub(crate) fn read(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

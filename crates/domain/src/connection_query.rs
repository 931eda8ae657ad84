//! Query parameters that a connection adds to the URL of each request, such as the
//! `api-version` of Azure. Secret ones are treated like secret headers.

use super::connection_headers::{MASKED_VALUE, is_secret_header, read_pairs};
use super::{DraftReader, limits};
use std::collections::BTreeMap;

/// Whether a query parameter probably carries a secret, judged by its name and value.
#[must_use]
pub fn is_secret_parameter(name: &str, value: &str) -> bool {
    is_secret_header(name, value)
}

/// Parses parameters given as an object, or as `name=value` lines (from a form).
pub(super) fn parse_query(reader: &mut DraftReader<'_>) -> BTreeMap<String, String> {
    let pairs = read_pairs(reader, "query", '=', "name=value");
    if pairs.len() > limits::ENTRIES {
        reader.problem("query", format!("must have at most {} entries", limits::ENTRIES));
    }
    for (i, (name, value)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(earlier, _)| earlier == name) {
            reader.problem("query", format!("{name} is specified twice"));
        }
        if name.is_empty() || name.len() > limits::NAME || name.chars().any(char::is_control) {
            reader.problem("query", format!("{name:?} is not a valid parameter name"));
        }
        if value == MASKED_VALUE {
            continue;
        }
        if value.is_empty() && is_secret_parameter(name, value) {
            reader.problem(
                "query",
                format!("{name} must have a value; enter it again, because it is not kept here"),
            );
        }
        if value.chars().any(char::is_control) || value.len() > 4096 {
            reader.problem("query", format!("{name} must be text on one line, at most 4096 bytes"));
        }
    }
    pairs.into_iter().collect()
}

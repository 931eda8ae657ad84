//! Validation problems.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Maximum length of a listed path or message, in characters.
const MAX_TEXT: usize = 1000;

/// A validation problem of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Path of the field, such as `conversation_flow[3].message`; empty for the whole input.
    pub path: String,
    /// What is wrong; reads as a continuation of the path: `must not be empty`.
    pub message: String,
}

impl Problem {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// Shortens path and message, which can contain names of the input.
    pub(crate) fn shorten(&mut self) {
        for text in [&mut self.path, &mut self.message] {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(end);
                text.push('…');
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// All problems of one input; never empty in an `Err`.
pub type Problems = Vec<Problem>;

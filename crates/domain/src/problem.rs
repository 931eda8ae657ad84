//! What is wrong with input: every problem, each with its path.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing wrong with input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Where: `conversation_flow[3].message`; empty for the whole.
    pub path: String,
    /// What, in words that follow the path: `must not be empty`.
    pub message: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
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

/// All problems of one input; never empty where it is an error.
pub type Problems = Vec<Problem>;

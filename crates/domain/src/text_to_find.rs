//! Texts that the agent must or must not say.

use super::string_enum::string_enum;
use serde::{Deserialize, Serialize};

string_enum! {
    /// Where a text of `must_include` or `must_not_include` counts as found.
    TextMatch {
        /// As whole words: "able" is not in "unable", "5" is not in "$50".
        Word = "word" / "Whole words",
        /// Also inside words: "discount" is in "discounts".
        Part = "part" / "Also inside words",
    }
}

impl TextMatch {
    pub const DEFAULT_OF_MUST_INCLUDE: Self = Self::Word;
    pub const DEFAULT_OF_MUST_NOT_INCLUDE: Self = Self::Part;
}

/// A text that the agent must or must not say: the text alone, or with its way of matching.
/// The text alone is matched as `word` in `must_include` and as `part` in
/// `must_not_include`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema), schema(as = TextItem))]
pub enum TextToFind {
    Text(String),
    WithMatch {
        text: String,
        #[serde(rename = "match")]
        matching: TextMatch,
    },
}

impl TextToFind {
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::WithMatch { text, .. } => text,
        }
    }

    /// The way of matching, if the pattern does not use the default of its list.
    #[must_use]
    pub fn explicit_match(&self) -> Option<TextMatch> {
        match self {
            Self::Text(_) => None,
            Self::WithMatch { matching, .. } => Some(*matching),
        }
    }
}

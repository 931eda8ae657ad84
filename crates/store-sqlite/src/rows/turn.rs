//! Rows of turns.

use super::{document, integer};
use crate::cell::{Cell, ItemKey, RowReader};
use domain::{FinishReason, RunId, Speaker, TokenParts, Turn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreResult;

/// The column `reply`: what else is known about the reply of a model. Each field may be
/// missing.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ReplyDetails {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    adjustments: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    token_parts: TokenParts,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_state: Option<Value>,
}

fn is_default(parts: &TokenParts) -> bool {
    *parts == TokenParts::default()
}

impl ReplyDetails {
    fn of(turn: &Turn) -> Self {
        Self {
            adjustments: turn.adjustments.clone(),
            token_parts: turn.token_parts,
            first_token_ms: turn.first_token_ms,
            provider_state: turn.provider_state.clone(),
        }
    }
}

pub(crate) struct RawTurn {
    pub(crate) idx: Cell<i64>,
    pub(crate) speaker: Cell<String>,
    pub(crate) message: Cell<String>,
    pub(crate) tool_calls: Option<Cell<String>>,
    pub(crate) tool: Option<Cell<String>>,
    pub(crate) finish: Option<Cell<String>>,
    pub(crate) latency_ms: Option<Cell<i64>>,
    pub(crate) input_tokens: Option<Cell<i64>>,
    pub(crate) output_tokens: Option<Cell<i64>>,
    pub(crate) reply: Option<Cell<String>>,
    pub(crate) at: Cell<i64>,
}

impl RawTurn {
    pub(crate) fn read(self, run: RunId) -> StoreResult<Turn> {
        let key = ItemKey(&run, self.idx.clone().value());
        let row = RowReader::new("turns", &key);
        let details: ReplyDetails = row.optional_json("reply", self.reply)?.unwrap_or_default();
        Ok(Turn {
            index: row.get("idx", self.idx)?,
            speaker: row.parse("speaker", self.speaker, Speaker::parse)?,
            message: row.get("message", self.message)?,
            tool_calls: row.optional_json("tool_calls", self.tool_calls)?.unwrap_or_default(),
            tool: row.optional_json("tool", self.tool)?,
            finish: row.optional_parse("finish", self.finish, FinishReason::parse)?,
            latency_ms: row.optional("latency_ms", self.latency_ms)?,
            input_tokens: row.optional("input_tokens", self.input_tokens)?,
            output_tokens: row.optional("output_tokens", self.output_tokens)?,
            adjustments: details.adjustments,
            token_parts: details.token_parts,
            first_token_ms: details.first_token_ms,
            provider_state: details.provider_state,
            at: row.get("at", self.at)?,
        })
    }
}

/// The columns of turns as a list in JSON, in the order of the table. The texts contain no
/// U+0000; see [`domain::replace_nul`].
pub(crate) fn turn_list(turns: &[Turn]) -> StoreResult<String> {
    let columns = |turn: &Turn| {
        let tool_calls =
            (!turn.tool_calls.is_empty()).then(|| document(&turn.tool_calls)).transpose()?;
        let details = ReplyDetails::of(turn);
        let reply = (details != ReplyDetails::default()).then(|| document(&details)).transpose()?;
        Ok(json!([
            turn.index,
            turn.speaker.as_str(),
            turn.message,
            tool_calls,
            turn.tool.as_ref().map(document).transpose()?,
            turn.finish.map(FinishReason::as_str),
            turn.latency_ms,
            turn.input_tokens.map(integer).transpose()?,
            turn.output_tokens.map(integer).transpose()?,
            reply,
            turn.at.0,
        ]))
    };
    document(&turns.iter().map(columns).collect::<StoreResult<Vec<_>>>()?)
}

//! How the stand answers.

use crate::question::{Question, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How the stand answers. The default: at once, and sensibly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// How long every answer takes.
    pub latency_ms: u64,
    /// Answers 400 to `response_format`.
    pub refuse_response_format: bool,
    /// Answers 400 to `max_tokens`, naming `max_completion_tokens`.
    pub refuse_max_tokens: bool,
    /// A limit per key.
    pub rate_limit: Option<RateLimit>,
    /// A limit of tokens per key, asked and answered together.
    pub token_limit: Option<TokenLimit>,
    /// In whose headers limits are told.
    pub limit_headers: LimitHeaders,
    /// Keeps neither bodies nor headers in the journal, for runs of many
    /// thousand requests.
    pub forget_bodies: bool,
    /// Exceptions; the first that matches and is not used up applies.
    pub rules: Vec<Rule>,
}

/// Most requests of one key within a sliding window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many.
    pub requests: usize,
    /// Within how long.
    pub window_ms: u64,
    /// How Retry-After is spelled.
    #[serde(default)]
    pub retry_after: RetryAfter,
}

/// Most tokens of one key within a sliding window. Bytes count as the stand
/// counts them: four to a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLimit {
    /// How many.
    pub tokens: usize,
    /// Within how long.
    pub window_ms: u64,
    /// How Retry-After is spelled.
    #[serde(default)]
    pub retry_after: RetryAfter,
}

/// Families of headers in which providers tell their limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitHeaders {
    /// `x-ratelimit-*`, resets as times like `1s` and `250ms`.
    #[default]
    OpenAi,
    /// `anthropic-ratelimit-*`, resets as RFC 3339 dates.
    Anthropic,
    /// Nothing is told; only the 429 itself.
    None,
}

/// Spellings of Retry-After.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// `retry-after: 3`
    #[default]
    Seconds,
    /// `retry-after: Mon, 23 Nov 2026 10:00:00 GMT`
    Date,
    /// `retry-after-ms: 2500`
    Millis,
    /// Nothing is said.
    None,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For which requests; by default all.
    #[serde(default)]
    pub when: When,
    /// How often it applies at most.
    #[serde(default)]
    pub times: Option<u32>,
    /// How long this answer takes, in place of the script's latency.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// What happens.
    pub action: Action,
}

/// Which requests; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// This one alone, counted from 1 over all requests.
    pub call: Option<u64>,
    /// Every n-th.
    pub every: Option<u64>,
    /// In this role.
    pub role: Option<Role>,
    /// To this model.
    pub model: Option<String>,
    /// With this in the last user message.
    pub contains: Option<String>,
    /// From this one on, counted from 1 over all requests.
    pub from: Option<u64>,
}

/// What happens in place of the stand's own answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Says this.
    Answer(String),
    /// Says this, ended for this reason (in the protocol's own word).
    Ending {
        /// The words.
        text: String,
        /// `finish_reason` or `stop_reason`.
        reason: String,
    },
    /// Calls tools.
    ToolCalls(Vec<Call>),
    /// Answers 200 with this body.
    Raw(Value),
    /// Answers this status.
    Status {
        /// The status.
        status: u16,
        /// The body; a JSON string is sent as plain text.
        #[serde(default)]
        body: Value,
        /// More headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Answers this status and when to come back.
    Later {
        /// The status, say 429.
        status: u16,
        /// After how long.
        after_ms: u64,
        /// How that is spelled.
        spelled: RetryAfter,
    },
    /// Never answers.
    Hang,
    /// Answers one byte at a time.
    Drip {
        /// With this pause before each.
        every_ms: u64,
    },
    /// Breaks off in the middle of the body.
    Cut,
    /// Breaks off where the first byte of the body should be.
    Gone,
    /// Announces a body and never sends any of it.
    Stall,
    /// Answers 200 with a web page.
    Garbage,
    /// Answers 200 with this many bytes.
    Huge(usize),
    /// Answers 307 to this address.
    Redirect(String),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments; text is sent as it is where the protocol has text.
    pub arguments: Value,
}

impl Script {
    /// A script of rules alone.
    #[must_use]
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), ..Self::default() }
    }
}

impl Rule {
    /// Always this.
    #[must_use]
    pub fn always(action: Action) -> Self {
        Self { when: When::default(), times: None, latency_ms: None, action }
    }

    /// This, the first so many times.
    #[must_use]
    pub fn first(times: u32, action: Action) -> Self {
        Self { times: Some(times), ..Self::always(action) }
    }

    /// This at one request, counted from 1.
    #[must_use]
    pub fn at(call: u64, action: Action) -> Self {
        Self { when: When { call: Some(call), ..When::default() }, ..Self::always(action) }
    }

    /// This at every request from one on, counted from 1.
    #[must_use]
    pub fn from(call: u64, action: Action) -> Self {
        Self { when: When { from: Some(call), ..When::default() }, ..Self::always(action) }
    }
}

impl Action {
    /// A bare status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: Value::Null, headers: BTreeMap::new() }
    }
}

impl When {
    /// Whether the `number`th request is meant.
    pub(crate) fn matches(&self, number: u64, question: &Question) -> bool {
        self.call.is_none_or(|call| call == number)
            && self.from.is_none_or(|from| number >= from)
            && self.every.is_none_or(|every| every > 0 && number.is_multiple_of(every))
            && self.role.is_none_or(|role| role == question.role)
            && self.model.as_ref().is_none_or(|model| *model == question.model)
            && self.contains.as_ref().is_none_or(|part| question.last_user.contains(part))
    }
}

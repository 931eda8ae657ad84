//! How the provider replies.

use crate::auth::RequiredAuth;
use crate::model_request::{ModelRequest, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How the provider replies. By default it replies sensibly and at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    pub latency_ms: u64,
    /// Replies 400 to `response_format`.
    pub reject_response_format: bool,
    /// Replies 400 to `max_tokens` and names `max_completion_tokens`.
    pub reject_max_tokens: bool,
    /// Fields that the provider rejects, whatever else the request contains.
    pub rejects: Vec<RejectedField>,
    /// Requests per API key.
    pub rate_limit: Option<WindowLimit>,
    /// Requests per API key, as a token bucket instead of a sliding window.
    pub request_bucket: Option<BucketLimit>,
    /// Prompt tokens per API key, four bytes to a token.
    pub token_limit: Option<WindowLimit>,
    pub limit_headers: LimitHeaders,
    /// Rejects requests with other credentials. By default it accepts any.
    pub auth: Option<RequiredAuth>,
    /// Rejects requests without these query parameters.
    pub required_query: BTreeMap<String, String>,
    /// The models that it lists; with none it has no list.
    pub models: Vec<String>,
    /// Logs neither bodies nor headers, for runs of many thousand requests.
    pub discard_bodies: bool,
    /// The first rule that matches and is not used up applies.
    pub rules: Vec<Rule>,
}

/// A field that the provider rejects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedField {
    /// The JSON Pointer of the field in the request: `/temperature`. `/large` stands for a
    /// token limit above 10,000.
    pub field: String,
    pub status: u16,
    /// The error body.
    pub body: Value,
}

/// A limit per API key over a sliding window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowLimit {
    pub max: usize,
    pub window_ms: u64,
    /// The format of `Retry-After`.
    #[serde(default)]
    pub retry_after: RetryAfter,
}

/// A token bucket of requests per API key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketLimit {
    /// The requests that are added per minute.
    pub per_minute: u32,
    /// The most requests that the bucket holds. It starts full.
    pub burst: u32,
    /// The format of `Retry-After`.
    #[serde(default)]
    pub retry_after: RetryAfter,
}

/// The family of rate limit headers that responses carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitHeaders {
    /// `x-ratelimit-*`, with resets like `1s` and `250ms`.
    #[default]
    OpenAi,
    /// `anthropic-ratelimit-*`, with resets as RFC 3339 dates.
    Anthropic,
    /// No headers: only the status 429 reports the limit.
    None,
}

/// The format of `Retry-After`.
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
    /// No header.
    None,
}

/// An exception from the default reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Matches all requests by default.
    #[serde(default)]
    pub when: When,
    /// The maximum number of times that the rule applies.
    #[serde(default)]
    pub times: Option<u32>,
    /// Overrides the script's latency.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    pub action: Action,
}

/// Matches requests; all conditions must hold. Requests count from 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    pub call: Option<u64>,
    /// Every n-th request.
    pub every: Option<u64>,
    pub role: Option<Role>,
    pub model: Option<String>,
    /// A substring of the last user message.
    pub contains: Option<String>,
    /// This request and all later ones.
    pub from: Option<u64>,
    /// A random part of the requests.
    pub random: Option<RandomShare>,
}

/// A random part of the requests, which is the same whenever the seed is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomShare {
    pub percent: u64,
    pub seed: u64,
}

impl RandomShare {
    fn includes(&self, number: u64) -> bool {
        // SplitMix64: well-distributed numbers from consecutive ones.
        let mut bits = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % 100 < self.percent
    }
}

/// Replaces the default reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Replies with this text.
    Reply(String),
    /// Replies with this text and this `finish_reason` or `stop_reason`.
    Finish {
        text: String,
        reason: String,
    },
    ToolCalls(Vec<ToolCall>),
    /// Replies 200 with this body.
    Json(Value),
    Status {
        status: u16,
        /// A JSON string is sent as plain text.
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Replies with this status and a `Retry-After`.
    RetryLater {
        status: u16,
        after_ms: u64,
        format: RetryAfter,
    },
    /// Never replies.
    Hang,
    /// Sends one byte every `every_ms`.
    Drip {
        every_ms: u64,
    },
    /// Resets the connection in the middle of the body.
    TruncateBody,
    /// Resets the connection before the first byte of the body.
    ResetBeforeBody,
    /// Sends the headers and never any of the body.
    StallBody,
    /// Replies 200 with a web page.
    Html,
    /// Replies 200 with this many bytes.
    OversizedBody(usize),
    /// Replies 307 with this location.
    Redirect(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub name: String,
    /// A string is sent unchanged where the protocol has a string.
    pub arguments: Value,
}

impl Script {
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), ..Self::default() }
    }
}

impl Rule {
    pub fn always(action: Action) -> Self {
        Self { when: When::default(), times: None, latency_ms: None, action }
    }

    /// Applies the first `times` times.
    pub fn first(times: u32, action: Action) -> Self {
        Self { times: Some(times), ..Self::always(action) }
    }

    /// Applies to one request, counted from 1.
    pub fn at(call: u64, action: Action) -> Self {
        Self { when: When { call: Some(call), ..When::default() }, ..Self::always(action) }
    }

    /// Applies to this request and all later ones, counted from 1.
    pub fn from(call: u64, action: Action) -> Self {
        Self { when: When { from: Some(call), ..When::default() }, ..Self::always(action) }
    }
}

impl Action {
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: Value::Null, headers: BTreeMap::new() }
    }
}

impl When {
    pub(crate) fn matches(&self, number: u64, request: &ModelRequest) -> bool {
        self.call.is_none_or(|call| call == number)
            && self.from.is_none_or(|from| number >= from)
            && self.every.is_none_or(|every| every > 0 && number.is_multiple_of(every))
            && self.role.is_none_or(|role| role == request.role)
            && self.model.as_ref().is_none_or(|model| *model == request.model)
            && self.contains.as_ref().is_none_or(|part| request.last_user.contains(part))
            && self.random.as_ref().is_none_or(|share| share.includes(number))
    }
}

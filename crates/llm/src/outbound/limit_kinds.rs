//! The kinds of limits that providers report: requests, tokens, input tokens, output
//! tokens. Arrays have this order.

use super::token_estimate::TokenEstimate;
use crate::rate_headers::{RateLimit, RateLimits};
use llm_types::{CallError, ChatReply};

pub(super) const KINDS: usize = 4;

/// The cost of one call for each kind of limit.
pub(super) fn costs(estimate: TokenEstimate) -> [u64; KINDS] {
    [1, estimate.tokens, estimate.input, estimate.output]
}

/// Replaces the estimate by the reported usage.
pub(super) fn replace_estimate(cost: &mut [u64; KINDS], reply: &ChatReply) {
    let tokens = reply.input_tokens.saturating_add(reply.output_tokens);
    if tokens > 0 {
        cost[1] = tokens;
        (cost[2], cost[3]) = (reply.input_tokens, reply.output_tokens);
    }
}

/// Whether the response reports a limit of which nothing is left.
pub(super) fn reports_exhausted_limit(error: &CallError) -> bool {
    let limits = error.rate_limits.as_deref().map(by_kind).unwrap_or_default();
    limits.iter().flatten().any(|limit| limit.remaining == 0)
}

pub(super) fn by_kind(limits: &RateLimits) -> [Option<RateLimit>; KINDS] {
    [limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens]
}

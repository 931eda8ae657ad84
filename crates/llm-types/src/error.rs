//! Errors of calls: what the caller does next, and what happened.

use super::chat_reply::RateLimits;
use domain::{ErrorKind, Timestamp};

/// The retry decision of a failed call. The error carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Retry within the budget. A final failure is `provider_unavailable`.
    Retry,
    /// Retry after a wait (429, 529).
    Wait {
        /// The provider's Retry-After, if there is one.
        until: Option<Timestamp>,
        /// 529: the server is overloaded; the caller did not exceed a limit.
        overloaded: bool,
    },
    /// A retry is useless: fail with this kind.
    GiveUp(ErrorKind),
}

/// A failed attempt or call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    pub decision: Decision,
    /// The message for users. Includes the provider's message, and never a key.
    pub message: String,
    /// The provider's own message, shortened and without keys. Empty if there is none.
    pub provider_message: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    pub cause: Cause,
    /// The rate limits in the response headers.
    pub rate_limits: Option<Box<RateLimits>>,
}

/// The cause of a failed call, for metrics and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// 429.
    RateLimited,
    /// 529.
    Overloaded,
    /// 5xx, 408, or an invalid status.
    ServerError,
    /// The TCP or TLS connection failed.
    Connect,
    /// The response did not start or continue in time.
    Timeout,
    /// The response body ended early.
    Incomplete,
    /// The body is not JSON, or not of the expected structure.
    Unreadable,
    /// The body exceeds the size limit.
    TooLarge,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// The quota or the credit is used up.
    Quota,
    /// Another 4xx.
    Rejected,
    /// 3xx.
    Redirect,
    /// No request was sent.
    #[default]
    NotSent,
}

impl Cause {
    /// The label value in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Incomplete => "cut",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Quota => "quota",
            Self::Rejected => "rejected",
            Self::Redirect => "redirect",
            Self::NotSent => "unsent",
        }
    }
}

impl CallError {
    /// An error that did not come from the provider.
    #[must_use]
    pub fn new(decision: Decision, message: impl Into<String>) -> Self {
        let message = message.into();
        let (cause, provider_message) = (Cause::default(), String::new());
        Self { decision, message, provider_message, status: None, cause, rate_limits: None }
    }

    /// The error kind of a run that ends with this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.decision {
            Decision::Retry => ErrorKind::ProviderUnavailable,
            Decision::Wait { .. } => ErrorKind::RateLimited,
            Decision::GiveUp(kind) => kind,
        }
    }
}

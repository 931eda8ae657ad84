//! The error type of the services, the API and the pages.

use crate::{Problem, Problems, limits};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Error category. Each code maps to one HTTP status; codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the request could not be parsed.
    Malformed,
    /// 401: not signed in.
    Unauthenticated,
    /// 403: a cross-site request, or not allowed with an API token.
    Forbidden,
    /// 404: does not exist or belongs to another user.
    NotFound,
    /// 409: conflicts with the current state.
    Conflict,
    /// 413: request body too large.
    TooLarge,
    /// 422: validation failed.
    Invalid,
    /// 429: too many requests.
    TooMany,
    /// 503: the store or the engine is unavailable.
    Unavailable,
    /// 500: server error.
    Internal,
}

impl ErrorCode {
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Invalid => 422,
            Self::TooMany => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// The title of the RFC 9457 problem document.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed request",
            Self::Unauthenticated => "Not signed in",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::Conflict => "Conflict with the current state",
            Self::TooLarge => "Request body too large",
            Self::Invalid => "Validation failed",
            Self::TooMany => "Too many requests",
            Self::Unavailable => "Temporarily unavailable",
            Self::Internal => "Internal server error",
        }
    }
}

/// An error for users. Never contains internal messages, file paths or SQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    pub code: ErrorCode,
    /// A sentence that says what happened and what to do.
    pub detail: String,
    /// For [`ErrorCode::Invalid`]: all validation problems.
    #[serde(default)]
    pub problems: Problems,
    /// A related page of this site, such as the suite that is already running.
    #[serde(default)]
    pub link: Option<String>,
    /// For [`ErrorCode::TooMany`] and [`ErrorCode::Unavailable`]: seconds to wait.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// Identifies the error in the server log.
    #[serde(default)]
    pub log_id: Option<String>,
}

impl AppError {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            problems: Vec::new(),
            link: None,
            retry_after: None,
            log_id: None,
        }
    }

    /// 404, both for missing resources and for those of other users.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {what}."))
    }

    #[must_use]
    pub fn invalid(problems: Problems) -> Self {
        let count = problems.len();
        Self::invalid_with_count(problems, count)
    }

    /// Like [`AppError::invalid`], if only the first of `count` problems are known. Lists
    /// at most [`PROBLEMS`](crate::limits::PROBLEMS), shortened, because input of a
    /// few bytes can have a problem with a long message.
    #[must_use]
    pub fn invalid_with_count(mut problems: Problems, count: usize) -> Self {
        problems.truncate(limits::PROBLEMS);
        problems.iter_mut().for_each(Problem::shorten);
        let detail = match problems.as_slice() {
            [one] if count <= 1 => format!("One problem: {one}."),
            [first, ..] if problems.len() < count => format!(
                "There are {count} problems, of which the first {} are listed. The first: {first}.",
                problems.len()
            ),
            [first, ..] => format!("There are {count} problems. The first: {first}."),
            [] => "Validation failed.".to_owned(),
        };
        Self { problems, ..Self::new(ErrorCode::Invalid, detail) }
    }

    pub fn problem(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Problem::new(path, message)])
    }

    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "Please sign in.")
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, detail)
    }

    #[must_use]
    pub fn with_link(mut self, link: String) -> Self {
        self.link = Some(link);
        self
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for AppError {}

//! The one error that crosses to the browser and to programs.

use crate::{Problem, Problems};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of no. Stable; each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: not to be read at all.
    Malformed,
    /// 401: nobody is signed in.
    Unauthenticated,
    /// 403: from another site.
    Forbidden,
    /// 404: not there, or somebody else's.
    NotFound,
    /// 409: somebody was faster, or it is running already.
    Conflict,
    /// 413: too large.
    TooLarge,
    /// 422: read, and not valid.
    Invalid,
    /// 429: later.
    TooMany,
    /// 503: our store or engine cannot now.
    Unavailable,
    /// 500: a fault of ours.
    Internal,
}

impl ErrorCode {
    /// The HTTP status.
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

    /// The title of its problem document.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request could not be read",
            Self::Unauthenticated => "Not signed in",
            Self::Forbidden => "Not allowed from there",
            Self::NotFound => "Not found",
            Self::Conflict => "In conflict with the present state",
            Self::TooLarge => "Too large",
            Self::Invalid => "Not valid",
            Self::TooMany => "Too many at once",
            Self::Unavailable => "Not available at the moment",
            Self::Internal => "Something went wrong on our side",
        }
    }
}

/// A no, in words for a person. Never an internal message, path or SQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    /// What kind.
    pub code: ErrorCode,
    /// A sentence that helps.
    pub detail: String,
    /// For [`ErrorCode::Invalid`]: all problems, with paths.
    #[serde(default)]
    pub problems: Problems,
    /// Where to look instead, a path on this site (the suite that runs already).
    #[serde(default)]
    pub link: Option<String>,
    /// For [`ErrorCode::TooMany`] and [`ErrorCode::Unavailable`]: seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// To find it in the log.
    #[serde(default)]
    pub log_id: Option<String>,
}

impl AppError {
    /// An error with a sentence.
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

    /// 404, the same for what does not exist and what is somebody else's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {what}."))
    }

    /// 422 with all problems.
    #[must_use]
    pub fn invalid(problems: Problems) -> Self {
        let detail = match problems.as_slice() {
            [one] => format!("One problem: {one}."),
            [first, ..] => format!("There are {} problems. The first: {first}.", problems.len()),
            [] => "Not valid.".to_owned(),
        };
        Self { problems, ..Self::new(ErrorCode::Invalid, detail) }
    }

    /// 422 with one problem.
    pub fn problem(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Problem::new(path, message)])
    }

    /// 401.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "Please sign in.")
    }

    /// 409 with a sentence.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, detail)
    }

    /// With a link to look at.
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

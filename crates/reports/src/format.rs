//! The formats of reports.

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// JUnit XML, as GitHub, GitLab and Jenkins read it.
    Junit,
    Csv,
    /// One file without scripts that needs no network.
    Html,
    /// A comment on a pull request, in GitHub's Markdown.
    Markdown,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Json, Self::Junit, Self::Csv, Self::Html, Self::Markdown];

    /// The file name extension.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "xml",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Markdown => "md",
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Junit => "application/xml",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }
}

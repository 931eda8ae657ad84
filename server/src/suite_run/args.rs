//! The arguments of `rehearsal run`.

use super::selection::parse_filter;
use super::share::Share;
use crate::config::duration;
use clap::Args;
use domain::ScenarioFilter;
use reports::Format;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit status:\n  0  the gate passed\n  1  the gate failed: too few runs \
    passed\n  2  too few runs were judged, or the command was interrupted\n  3  the arguments \
    are wrong, the server cannot be used, or a report cannot be written")]
pub struct RunArgs {
    /// URL of the server
    #[arg(long, env = "REHEARSAL_SERVER", value_name = "URL", value_parser = server_url)]
    pub server: String,

    /// API token. Other users of the machine can read command lines, so set
    /// REHEARSAL_TOKEN instead
    #[arg(long, env = "REHEARSAL_TOKEN", hide_env_values = true, value_name = "TOKEN",
        value_parser = token)]
    pub token: SecretString,

    /// Name or id of the agent
    #[arg(long)]
    pub agent: String,

    /// Scenarios to run: `all`, or `FIELD=VALUE` with the fields category, difficulty, tag,
    /// q (text in name or description) and built_in, separated by commas
    #[arg(long, value_name = "FILTER", value_parser = parse_filter)]
    pub scenarios: ScenarioFilter,

    /// Name or id of the test profile with the values of variables
    #[arg(long)]
    pub profile: Option<String>,

    /// Runs per scenario
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub repeats: u32,

    /// Concurrent runs; default: the server's setting
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub concurrency: Option<u32>,

    /// A note that the suite shows, such as the commit
    #[arg(long, default_value = "")]
    pub note: String,

    /// Record scenarios that do not fit the agent as errors instead of starting nothing
    #[arg(long)]
    pub skip_incompatible: bool,

    /// Starts with the same key and arguments within 24 hours share one suite; default: a
    /// new key
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    pub idempotency_key: Option<String>,

    /// The share of the judged runs that must pass, like `90%` or `0.9`
    #[arg(long, value_name = "SHARE", default_value = "100%")]
    pub min_pass_rate: Share,

    /// The share of all runs that must be judged (passed or failed), like `95%`
    #[arg(long, value_name = "SHARE", default_value = "100%")]
    pub min_judged: Share,

    #[command(flatten)]
    pub reports: ReportArgs,

    /// Cancel the suite on Ctrl-C or SIGTERM; otherwise it continues on the server
    #[arg(long)]
    pub cancel_on_interrupt: bool,

    /// How long the server may be unreachable once the command has begun, like `5m`
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub max_outage: Duration,
}

/// Files to write when the suite is finished.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Write a Markdown report for a comment on a pull request
    #[arg(long, value_name = "FILE")]
    pub md: Option<PathBuf>,

    /// Write an HTML report
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write a CSV report
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write a JSON report
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl ReportArgs {
    /// The requested reports.
    pub(super) fn files(&self) -> Vec<(Format, PathBuf)> {
        let all = [
            (Format::Junit, &self.junit),
            (Format::Markdown, &self.md),
            (Format::Html, &self.html),
            (Format::Csv, &self.csv),
            (Format::Json, &self.json),
        ];
        all.into_iter().filter_map(|(format, path)| Some((format, path.clone()?))).collect()
    }
}

fn server_url(text: &str) -> Result<String, String> {
    let url = text.trim().trim_end_matches('/');
    let invalid = || format!("{text:?} is not a URL like https://rehearsal.example.com");
    let parsed = reqwest::Url::parse(url).map_err(|_| invalid())?;
    let is_http = matches!(parsed.scheme(), "http" | "https");
    let has_extra = parsed.query().is_some() || parsed.fragment().is_some();
    let has_login = !parsed.username().is_empty() || parsed.password().is_some();
    if !is_http || has_extra || has_login {
        return Err(invalid());
    }
    Ok(url.to_owned())
}

fn token(text: &str) -> Result<SecretString, String> {
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("must be a token as Rehearsal printed it".to_owned());
    }
    Ok(text.into())
}

fn idempotency_key(text: &str) -> Result<String, String> {
    let is_valid = |c: char| c.is_ascii_graphic() && c != '"';
    if (1..=255).contains(&text.len()) && text.chars().all(is_valid) {
        return Ok(text.to_owned());
    }
    Err("must have 1 to 255 visible ASCII characters without quotation marks".to_owned())
}

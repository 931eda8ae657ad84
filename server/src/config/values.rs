//! Parsers of single values.

use super::Networks;
use domain::{NanoUsd, limits};
use secrecy::SecretString;
use std::time::Duration;

/// Parses a duration like `500ms`, `120s`, `10m` or `2h`. A plain number means seconds.
///
/// # Errors
/// A message with an example.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let invalid = || format!("{text:?} is not a duration like 500ms, 120s, 10m or 2h");
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let millis = match unit.trim() {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    let day = 24 * 3_600_000;
    match millis {
        Some(millis) if millis <= day => Ok(Duration::from_millis(millis)),
        Some(_) => Err(format!("{text:?} is longer than a day")),
        None => Err(invalid()),
    }
}

/// Parses an amount of US dollars.
pub(super) fn budget(text: &str) -> Result<NanoUsd, String> {
    let amount = NanoUsd::parse(text)?;
    let max = limits::BUDGET_USD;
    if amount > max {
        return Err(format!("must be at most {} US dollars", max.decimal()));
    }
    Ok(amount)
}

pub(super) fn secret(text: &str) -> Result<SecretString, String> {
    match text.trim() {
        text if text.chars().any(|c| c.is_control() || !c.is_ascii()) => {
            Err("must be plain ASCII on one line".into())
        }
        text => Ok(text.into()),
    }
}

pub(super) fn networks(text: &str) -> Result<Networks, String> {
    text.split(',').filter(|part| !part.trim().is_empty()).map(str::parse).collect()
}

pub(super) fn base_url(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(String::new());
    }
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']) => {
            Ok(text.to_owned())
        }
        _ => Err("must start with https:// or http:// and contain a host".into()),
    }
}

/// Parses an origin, without a path.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let url = base_url(text)?;
    let host = url.split_once("://").map_or("", |(_, host)| host);
    if host.contains('/') {
        return Err(
            "must not have a path: Rehearsal must be served from the root of its host".into()
        );
    }
    Ok(url.to_ascii_lowercase())
}

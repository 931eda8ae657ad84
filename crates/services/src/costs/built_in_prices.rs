//! The prices that ship with the product: a data file that a test checks. Each names the
//! page of the vendor that it comes from, and when that page was read. What is on no such
//! page is not in the file, and so its cost is unknown.

use domain::money::usd;
use domain::{ModelPrice, NanoUsd};
use serde::Deserialize;
use std::sync::LazyLock;

/// A row of the data file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// The host of the vendor's API. A compatible server at another host has other prices.
    host: String,
    /// The names of the model: its alias and its snapshots.
    models: Vec<String>,
    #[serde(with = "usd")]
    input_usd: NanoUsd,
    #[serde(with = "usd")]
    cached_input_usd: NanoUsd,
    #[serde(with = "usd")]
    cache_write_usd: NanoUsd,
    #[serde(with = "usd")]
    output_usd: NanoUsd,
    #[serde(default)]
    max_input_tokens: Option<u64>,
    source: String,
    as_of: String,
}

/// Empty if the file is invalid, which a test excludes.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| parse().unwrap_or_default());

fn parse() -> serde_json::Result<Vec<Row>> {
    serde_json::from_str(include_str!("built_in_prices.json"))
}

/// The prices of the vendor whose API is at this base URL.
pub(super) fn built_in_prices(base_url: &str) -> Vec<ModelPrice> {
    let host = host(base_url);
    let rows = ROWS.iter().filter(|row| row.host == host);
    rows.flat_map(|row| row.models.iter().map(|model| row.price(model))).collect()
}

impl Row {
    fn price(&self, model: &str) -> ModelPrice {
        ModelPrice {
            model: model.to_owned(),
            input_usd: self.input_usd,
            cached_input_usd: self.cached_input_usd,
            cache_write_usd: self.cache_write_usd,
            output_usd: self.output_usd,
            as_of: self.as_of.clone(),
            max_input_tokens: self.max_input_tokens,
            source: Some(self.source.clone()),
        }
    }
}

/// The host of a valid base URL, in lower case and without a port.
fn host(base_url: &str) -> String {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{built_in_prices, host, parse};
    use domain::{NanoUsd, TokenParts, is_date};
    use std::collections::HashSet;

    /// The vendor's own pages about its API.
    const SOURCES: [(&str, &str); 2] = [
        ("api.anthropic.com", "https://platform.claude.com/docs/"),
        ("api.openai.com", "https://developers.openai.com/"),
    ];

    #[test]
    fn every_price_names_its_source_and_date() {
        let rows = parse().expect("the data file is valid");
        let mut seen = HashSet::new();
        for row in &rows {
            let source = SOURCES.iter().find(|(host, _)| *host == row.host);
            let (_, prefix) = source.unwrap_or_else(|| panic!("{}: unknown host", row.host));
            assert!(row.source.starts_with(prefix), "{row:?}: not a page of the vendor");
            assert!(is_date(&row.as_of), "{row:?}");
            assert!(!row.models.is_empty(), "{row:?}");
            for model in &row.models {
                assert!(seen.insert((&row.host, model)), "{model} has two prices");
            }
            assert!(row.input_usd > NanoUsd::ZERO && row.output_usd >= row.input_usd, "{row:?}");
            assert!(row.cached_input_usd <= row.input_usd, "{row:?}");
            assert!(row.cache_write_usd >= row.input_usd, "{row:?}");
        }
        assert!(seen.len() >= 10, "{} models", seen.len());
    }

    #[test]
    fn prices_apply_to_the_host_of_the_vendor_only() {
        assert!(!built_in_prices("https://api.openai.com/v1").is_empty());
        assert!(!built_in_prices("https://API.ANTHROPIC.com:443").is_empty());
        for other in [
            "http://127.0.0.1:11434/v1",
            "https://openrouter.ai/api/v1",
            "",
            "https://api.openai.com.example.org",
            "https://example.org/api.openai.com",
        ] {
            assert!(built_in_prices(other).is_empty(), "{other}");
        }
        assert_eq!(host("https://user@api.openai.com/v1"), "api.openai.com");
    }

    #[test]
    fn long_prompt_of_a_tiered_price_has_an_unknown_cost() {
        let prices = built_in_prices("https://api.openai.com/v1");
        let luna = prices.iter().find(|price| price.model == "gpt-6-luna").expect("a price");
        let cost = |input| luna.token_price().cost(input, 0, TokenParts::default());
        assert_eq!(cost(272_000), Some(NanoUsd(27_200_000)));
        assert_eq!(cost(272_001), None);
    }
}

//! Prices of models, and the cost of a call.

use super::money::{NanoUsd, usd};
use super::{Draft, DraftReader, Problems, Timestamp, TokenParts, is_blank, limits};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The name that stands for every model of a connection without a price of its own.
pub const ANY_MODEL: &str = "*";

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPrice {
    pub input: NanoUsd,
    /// Input that was read from a prompt cache.
    pub cached_input: NanoUsd,
    /// Input that was written to a prompt cache.
    pub cache_write: NanoUsd,
    pub output: NanoUsd,
    /// The price applies to calls of at most so many input tokens: some vendors charge more
    /// for longer prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
}

impl TokenPrice {
    /// The price of a model that costs nothing.
    pub const FREE: Self = Self {
        input: NanoUsd::ZERO,
        cached_input: NanoUsd::ZERO,
        cache_write: NanoUsd::ZERO,
        output: NanoUsd::ZERO,
        max_input_tokens: None,
    };

    #[must_use]
    pub fn is_free(&self) -> bool {
        *self == Self::FREE
    }

    /// The cost of a call, rounded up to a billionth of a dollar. `None` if it is unknown:
    /// the reply reports no usage, or the prompt is longer than the price is valid for. The
    /// parts are contained in the input and the output.
    #[must_use]
    pub fn cost(&self, input: u64, output: u64, parts: TokenParts) -> Option<NanoUsd> {
        if self.is_free() {
            return Some(NanoUsd::ZERO);
        }
        // Every call has input, so a reply without any reports no usage.
        if input == 0 || self.max_input_tokens.is_some_and(|max| input > max) {
            return None;
        }
        let cached = parts.cached_input_tokens.min(input);
        let written = parts.cache_write_tokens.min(input - cached);
        let rest = input - cached - written;
        let tokens = [
            (rest, self.input),
            (cached, self.cached_input),
            (written, self.cache_write),
            (output, self.output),
        ];
        let per_million = tokens.into_iter().try_fold(0_u128, |sum, (tokens, price)| {
            sum.checked_add(u128::from(tokens).checked_mul(u128::from(price.0))?)
        })?;
        u64::try_from(per_million.div_ceil(1_000_000)).ok().map(NanoUsd)
    }
}

/// The price of a model of a connection, in US dollars per million tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ModelPrice {
    /// The provider's name of the model; `*` for every model without a price of its own.
    pub model: String,
    #[serde(with = "usd")]
    #[cfg_attr(feature = "server", schema(value_type = f64))]
    pub input_usd: NanoUsd,
    /// For input that was read from a prompt cache. Without one, like other input.
    #[serde(with = "usd")]
    #[cfg_attr(feature = "server", schema(value_type = f64))]
    pub cached_input_usd: NanoUsd,
    /// For input that was written to a prompt cache. Without one, like other input.
    #[serde(with = "usd")]
    #[cfg_attr(feature = "server", schema(value_type = f64))]
    pub cache_write_usd: NanoUsd,
    #[serde(with = "usd")]
    #[cfg_attr(feature = "server", schema(value_type = f64))]
    pub output_usd: NanoUsd,
    /// When the price was valid, like `2026-01-31`.
    pub as_of: String,
    /// The number of input tokens of a call up to which the price is valid.
    #[serde(default)]
    pub max_input_tokens: Option<u64>,
    /// The page with the price; null for a price that a user entered.
    #[serde(default)]
    pub source: Option<String>,
}

impl ModelPrice {
    #[must_use]
    pub fn token_price(&self) -> TokenPrice {
        TokenPrice {
            input: self.input_usd,
            cached_input: self.cached_input_usd,
            cache_write: self.cache_write_usd,
            output: self.output_usd,
            max_input_tokens: self.max_input_tokens,
        }
    }

    /// Validates `{prices: […]}`, the own prices of a connection. Prices without a date are
    /// as of `today`.
    ///
    /// # Errors
    /// All problems of the draft.
    pub fn parse_list(draft: &Draft, today: &str) -> Result<Vec<Self>, Problems> {
        draft.parse(|mut reader| {
            let entries = reader.list("prices", limits::ENTRIES);
            let mut names = HashSet::new();
            let mut prices = Vec::new();
            for (path, value) in entries {
                let mut entry = reader.entry(path.clone(), value);
                let price = Self::read(&mut entry, today);
                entry.deny_unknown_fields(&["source"]);
                let Some(price) = price else { continue };
                if names.insert(price.model.clone()) {
                    prices.push(price);
                } else {
                    let message = "has a price in an earlier row already";
                    reader.problem(&format!("{path}.model"), message);
                }
            }
            reader.deny_unknown_fields(&["idempotency_key"]);
            Some(prices)
        })
    }

    /// Reads one row; `None` for a blank row of a form, or after a problem.
    fn read(entry: &mut DraftReader<'_>, today: &str) -> Option<Self> {
        if !entry.is_object() {
            return None;
        }
        let mut is_absent =
            |field| entry.value(field).is_none_or(|value| value.as_str().is_some_and(is_blank));
        let required = ["input_usd", "output_usd"].map(|field| (field, is_absent(field)));
        let others = ["model", "cached_input_usd", "cache_write_usd"].map(&mut is_absent);
        let is_blank_row = others.into_iter().chain(required.map(|(_, absent)| absent)).all(|a| a);
        let as_of = entry.name("as_of", limits::NAME, false);
        let max_input_tokens = entry.optional_integer("max_input_tokens", 1, u32::MAX);
        if is_blank_row {
            return None;
        }
        let model = entry.name("model", limits::NAME, true);
        for (field, _) in required.into_iter().filter(|(_, is_absent)| *is_absent) {
            entry.problem(field, "must not be empty; 0 if it costs nothing");
        }
        let mut amount = |field| NanoUsd::read(entry, field, limits::PRICE_USD);
        let (input, output) = (amount("input_usd"), amount("output_usd"));
        let (cached, written) = (amount("cached_input_usd"), amount("cache_write_usd"));
        let as_of = if as_of.is_empty() { today.to_owned() } else { as_of };
        if !is_date(&as_of) {
            entry.problem("as_of", "must be a date like 2026-01-31");
        }
        let (input_usd, output_usd) = (input?, output?);
        Some(Self {
            model,
            input_usd,
            cached_input_usd: cached.unwrap_or(input_usd),
            cache_write_usd: written.unwrap_or(input_usd),
            output_usd,
            as_of,
            max_input_tokens: max_input_tokens.map(u64::from),
            source: None,
        })
    }
}

/// Whether a text is a date like `2026-01-31`.
#[must_use]
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && Timestamp::parse(&format!("{text}T00:00:00Z")).is_some()
}

/// The prices that apply to a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ConnectionPrices {
    /// The prices that the user entered. They go before the built-in ones.
    pub prices: Vec<ModelPrice>,
    /// The built-in prices of the vendor whose API the connection calls.
    pub built_in: Vec<ModelPrice>,
}

impl ConnectionPrices {
    /// The price of a model; `None` if it is unknown.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<TokenPrice> {
        let find = |prices: &[ModelPrice], name: &str| {
            prices.iter().find(|price| price.model == name).map(ModelPrice::token_price)
        };
        find(&self.prices, model)
            .or_else(|| find(&self.built_in, model))
            .or_else(|| find(&self.prices, ANY_MODEL))
    }
}

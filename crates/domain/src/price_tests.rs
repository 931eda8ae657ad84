use super::{Draft, ModelPrice, NanoUsd, TokenParts, TokenPrice};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

/// 3, 0.3, 3.75 and 15 dollars per million tokens.
const PRICE: TokenPrice = TokenPrice {
    input: NanoUsd(3_000_000_000),
    cached_input: NanoUsd(300_000_000),
    cache_write: NanoUsd(3_750_000_000),
    output: NanoUsd(15_000_000_000),
    max_input_tokens: Some(200_000),
};

fn parts(cached: u64, written: u64) -> TokenParts {
    TokenParts { cached_input_tokens: cached, cache_write_tokens: written, ..TokenParts::default() }
}

#[rstest]
#[case::plain(1_000, 100, parts(0, 0), Some(4_500_000))]
#[case::cached(1_000, 100, parts(800, 100), Some(300_000 + 240_000 + 375_000 + 1_500_000))]
#[case::no_output(1_000, 0, parts(0, 0), Some(3_000_000))]
#[case::no_usage(0, 0, parts(0, 0), None)]
#[case::no_input(0, 5, parts(0, 0), None)]
#[case::longest(200_000, 0, parts(0, 0), Some(600_000_000))]
#[case::too_long(200_001, 0, parts(0, 0), None)]
#[case::parts_above_the_input(10, 0, parts(50, 50), Some(3_000))]
#[case::enormous_output(1, u64::MAX, parts(0, 0), None)]
fn cost_of_a_call(
    #[case] input: u64,
    #[case] output: u64,
    #[case] parts: TokenParts,
    #[case] nano: Option<u64>,
) {
    assert_eq!(PRICE.cost(input, output, parts), nano.map(NanoUsd));
}

#[test]
fn free_model_costs_nothing_also_without_usage() {
    assert_eq!(TokenPrice::FREE.cost(0, 0, parts(0, 0)), Some(NanoUsd::ZERO));
}

#[test]
fn fractions_of_a_nanodollar_are_rounded_up() {
    let price = TokenPrice { input: NanoUsd(1), ..TokenPrice::FREE };
    assert_eq!(price.cost(1, 0, parts(0, 0)), Some(NanoUsd(1)));
}

proptest! {
    /// Providers report arbitrary numbers of tokens.
    #[test]
    fn cost_never_panics_and_never_falls_with_more_output(
        input in any::<u64>(), output in 0..u64::MAX, cached in any::<u64>(), written in any::<u64>()
    ) {
        let price = TokenPrice { max_input_tokens: None, ..PRICE };
        let (less, more) = (
            price.cost(input, output, parts(cached, written)),
            price.cost(input, output + 1, parts(cached, written)),
        );
        prop_assert!(more.is_none() || less <= more);
    }
}

fn parse(prices: Value) -> Result<Vec<ModelPrice>, Vec<String>> {
    let parsed = ModelPrice::parse_list(&Draft(json!({ "prices": prices })), "2026-11-27");
    parsed.map_err(|problems| {
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    })
}

#[test]
fn own_prices_are_read_and_blank_ones_are_like_input() {
    let row = json!({"model": "m", "input_usd": "2", "cached_input_usd": "", "output_usd": 8.5});
    let blank = json!({"model": "", "input_usd": "", "output_usd": "", "as_of": ""});
    let prices = parse(json!([row, blank])).expect("prices");
    assert_eq!(prices.len(), 1, "a blank row of a form is skipped");
    let price = &prices[0];
    assert_eq!((price.model.as_str(), price.as_of.as_str()), ("m", "2026-11-27"));
    assert_eq!((price.cached_input_usd, price.cache_write_usd), (price.input_usd, price.input_usd));
    assert_eq!(price.output_usd, NanoUsd(8_500_000_000));
    let json = serde_json::to_value(price).expect("JSON");
    assert_eq!((json["input_usd"].clone(), json["output_usd"].clone()), (json!(2.0), json!(8.5)));
    assert_eq!(serde_json::from_value::<ModelPrice>(json).expect("a price"), *price);
}

#[rstest]
#[case::negative(json!({"model": "m", "input_usd": -1, "output_usd": 1}),
    "prices[0].input_usd: must not be negative")]
#[case::huge(json!({"model": "m", "input_usd": 1, "output_usd": 100_001}),
    "prices[0].output_usd: must be at most 100000 US dollars")]
#[case::not_a_number(json!({"model": "m", "input_usd": "NaN", "output_usd": 1}),
    "prices[0].input_usd: must be a number of US dollars such as 0.25")]
#[case::decimals(json!({"model": "m", "input_usd": "0.0000001", "output_usd": 1}),
    "prices[0].input_usd: must have at most 6 decimals")]
#[case::missing(json!({"model": "m", "input_usd": 1}),
    "prices[0].output_usd: must not be empty; 0 if it costs nothing")]
#[case::no_model(json!({"input_usd": 1, "output_usd": 1}), "prices[0].model: must not be empty")]
#[case::date(json!({"model": "m", "input_usd": 1, "output_usd": 1, "as_of": "31.1.2026"}),
    "prices[0].as_of: must be a date like 2026-01-31")]
#[case::unknown_field(json!({"model": "m", "input_usd": 1, "output_usd": 1, "price": 2}),
    "prices[0].price: is not a known field")]
#[case::not_an_object(json!("m"), "prices[0]: must be an object, not text")]
fn bad_price_is_a_problem_with_its_path(#[case] row: Value, #[case] expected: &str) {
    let problems = parse(json!([row])).expect_err("a problem");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with(expected), "{problems:?}");
}

#[test]
fn duplicate_model_is_a_problem() {
    let row = || json!({"model": "m", "input_usd": 1, "output_usd": 1});
    assert_eq!(
        parse(json!([row(), row()])),
        Err(vec!["prices[1].model: has a price in an earlier row already".to_owned()])
    );
}

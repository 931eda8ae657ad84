//! The prices of the models of a connection.

use super::tabs;
use crate::components::form::{Control, Field, Form, skip_validation};
use crate::components::form_order::FieldOrder;
use crate::components::page_data::{load, notice, route_param, saved_form_param, when_loaded};
use crate::components::rows::{RowList, rows};
use crate::components::table::table;
use crate::components::title::heading;
use crate::domain::{ModelPrice, NanoUsd};
use crate::server_fns::PricesQuery;
use crate::server_fns::settings::PricesData;
use leptos::prelude::*;
use serde_json::json;

/// The fields of the form, in the order of the page.
const FIELDS: FieldOrder = &[
    "prices.model",
    "prices.input_usd",
    "prices.output_usd",
    "prices.cached_input_usd",
    "prices.cache_write_usd",
    "prices.max_input_tokens",
    "prices.as_of",
];

const PRICES: RowList = RowList {
    path: "prices",
    noun: "Price",
    add: "Add price",
    blank: |_| json!({}),
    row: |form, index, row| {
        let field =
            |name, label, control| Field::of_row("prices", index, name, label, control, row);
        view! {
            {field("model", "Model", Control::Input("text")).required().class("mono")
                .hint("* for all other models.").show(form)}
            {field("input_usd", "Input", Control::Number).required().show(form)}
            {field("output_usd", "Output", Control::Number).required().show(form)}
            {field("cached_input_usd", "Cached input", Control::Number)
                .hint("Leave empty for the price of input.").show(form)}
            {field("cache_write_usd", "Cache write", Control::Number)
                .hint("Leave empty for the price of input.").show(form)}
            {field("max_input_tokens", "Up to input tokens", Control::Number)
                .hint("Leave empty if long prompts cost the same.").show(form)}
            {field("as_of", "As of", Control::Input("text"))
                .hint("A date like 2026-01-31. Leave empty for today.").show(form)}
        }
        .into_any()
    },
};

#[component]
pub fn PricesPage() -> impl IntoView {
    let (id, saved_form) = (route_param("id"), saved_form_param());
    let data = load(move || PricesQuery {
        id: id.get().unwrap_or_default(),
        saved_form: saved_form.get(),
    });
    view! { {notice()} {tabs("connections")} {when_loaded(data, show)} }
}

fn show(data: PricesData) -> AnyView {
    let PricesData { id, name, stored, built_in, rejected } = data;
    let form = Form::new(stored, rejected, skip_validation).in_order(FIELDS);
    view! {
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href=format!("/settings/connections/{id}")>{name.clone()}</a>
        </nav>
        {heading(format!("Prices of {name}"))}
        <p class="hint">
            "US dollars per million tokens. They apply to suites that are started afterwards, and go before the built-in prices. The cost of a model without a price is unknown."
        </p>
        <form method="post" action=format!("/forms/connections/{id}/prices") novalidate class="editor">
            <button type="submit" class="default-submit" tabindex="-1" aria-hidden="true">"Save"</button>
            {form.summary()}
            <section class="fields" aria-labelledby="own-head">
                <h2 id="own-head" class="wide">"Your prices"</h2>
                <div class="wide">{rows(form, PRICES)}</div>
            </section>
            <div class="save-bar"><button type="submit" class="primary">"Save prices"</button></div>
        </form>
        {built_in_table(&built_in)}
    }
    .into_any()
}

fn built_in_table(prices: &[ModelPrice]) -> AnyView {
    if prices.is_empty() {
        let text = "There are no built-in prices for this address.";
        return view! { <p class="hint">{text}</p> }.into_any();
    }
    let amount = |usd: NanoUsd| format!("${}", usd.decimal());
    let rows = prices.iter().map(|price| {
        let limit = price.max_input_tokens.map(|max| format!(" up to {max} input tokens"));
        let source = price.source.clone();
        view! {
            <tr><td class="main"><code>{price.model.clone()}</code> <span class="hint">{limit}</span></td>
                <td class="num" data-label="Input">{amount(price.input_usd)}</td>
                <td class="num" data-label="Output">{amount(price.output_usd)}</td>
                <td class="num" data-label="Cached input">{amount(price.cached_input_usd)}</td>
                <td class="num" data-label="Cache write">{amount(price.cache_write_usd)}</td>
                <td data-label="Source"><a href=source rel="noreferrer">{price.as_of.clone()}</a></td></tr>
        }
        .into_any()
    });
    let columns = [
        ("Model", ""),
        ("Input", "num"),
        ("Output", "num"),
        ("Cached input", "num"),
        ("Cache write", "num"),
        ("Source", ""),
    ];
    view! {
        <section>
            <h2>"Built-in prices"</h2>
            {table("Built-in prices", "list", &columns, rows.collect())}
        </section>
    }
    .into_any()
}

//! The list of suites.

use crate::components::chip::suite_chip;
use crate::components::format::{percent, verdict_counts};
use crate::components::page_data::{
    auto_refresh, empty_state, load, next_page_link, notice, poll_while, section_when_loaded,
};
use crate::components::time::time;
use crate::components::title::heading;
use crate::domain::{Suite, SuiteStatus};
use crate::server_fns::SuitesQuery;
use crate::services::Page;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

#[component]
pub fn SuitesPage() -> impl IntoView {
    let query = use_query_map();
    let params =
        move || query.with(|query| (query.get("agent"), query.get("status"), query.get("after")));
    let data = load(move || {
        let (agent, status, after) = params();
        SuitesQuery { agent, status, after }
    });
    poll_while(data, unfinished);
    view! {
        {notice()}
        <div class="page-head">
            {heading("Suites")}
            <a class="button primary" href="/suites/new">"Run scenarios"</a>
        </div>
        {move || filters(&params().1.unwrap_or_default())}
        {section_when_loaded(data, move |page| show(page, params().1.is_some() || params().0.is_some()))}
    }
}

fn filters(status: &str) -> AnyView {
    let all = SuiteStatus::ALL.iter().map(|(word, value)| {
        let href = format!("/suites?status={word}");
        let current = (*word == status).then_some("page");
        view! { <a href=href aria-current=current>{value.label()}</a> }
    });
    let none = status.is_empty().then_some("page");
    view! {
        <nav class="tabs" aria-label="Suites by status">
            <a href="/suites" aria-current=none>"All"</a>
            {all.collect_view()}
        </nav>
    }
    .into_any()
}

fn unfinished(page: &Page<Suite>) -> bool {
    page.items.iter().any(|suite| !suite.status.is_final())
}

fn show(page: Page<Suite>, filtered: bool) -> AnyView {
    if page.items.is_empty() && filtered {
        let action = view! { <a class="button" href="/suites">"Clear filters"</a> };
        return empty_state(
            "No matching suites",
            "No suite matches these filters.",
            action.into_any(),
        );
    }
    if page.items.is_empty() {
        let action = view! { <a class="button primary" href="/suites/new">"Run scenarios"</a> };
        let text = "A suite is one batch of runs: an agent tested against a set of scenarios.";
        return empty_state("No suites yet", text, action.into_any());
    }
    let open = unfinished(&page);
    view! { {open.then(auto_refresh)} {suite_table(page.items)} {next_page_link("/suites", page.next)} }.into_any()
}

pub fn suite_table(suites: Vec<Suite>) -> AnyView {
    let rows = suites.into_iter().map(|suite| {
        let href = format!("/suites/{}", suite.id);
        let cancelling = suite.cancel_requested_at.is_some();
        view! {
            <tr>
                <td>{suite_chip(suite.status, cancelling)}</td>
                <td class="main"><a href=href data-row="">{suite.agent.name}</a>
                    <span class="hint">" rev " {suite.agent.revision}</span>
                    <div class="hint clip">{suite.note}</div></td>
                <td class="num" data-label="Pass rate">{percent(suite.pass_rate)}</td>
                <td>{verdict_counts(&suite.counts, &[])}</td>
                <td class="num" data-label="Started">{time(suite.created_at)}</td>
            </tr>
        }
    });
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Suites">
            <table class="list">
                <thead><tr>
                    <th scope="col">"Status"</th><th scope="col">"Agent"</th>
                    <th scope="col" class="num">"Pass rate"</th><th scope="col">"Runs"</th>
                    <th scope="col" class="num">"Started"</th>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

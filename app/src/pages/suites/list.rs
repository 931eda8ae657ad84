//! The list of suites.

use crate::services::Page;
use crate::components::chip::suite_chip;
use crate::components::load::{ask, empty, follow, loaded_below, notice};
use crate::components::time::time;
use crate::components::title::heading;
use crate::components::words::{percent, verdict_counts};
use crate::domain::{Suite, SuiteStatus};
use crate::pages::agents::list::more;
use crate::pages::run::parts::refresh;
use crate::server_fns::{SuitesQuery};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The list of suites, newest first.
#[component]
pub fn SuitesPage() -> impl IntoView {
    let query = use_query_map();
    let words =
        move || query.with(|query| (query.get("agent"), query.get("status"), query.get("after")));
    let data = ask(move || {
        let (agent, status, after) = words();
        SuitesQuery { agent, status, after }
    });
    follow(data, unfinished);
    view! {
        {notice()}
        <div class="page-head">
            {heading("Suites")}
            <a class="button primary" href="/suites/new">"Run scenarios"</a>
        </div>
        {move || filters(&words().1.unwrap_or_default())}
        {loaded_below(data, move |page| show(page, words().1.is_some() || words().0.is_some()))}
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
        return empty("Nothing matches", "No suite fits these filters.", action.into_any());
    }
    if page.items.is_empty() {
        let action = view! { <a class="button primary" href="/suites/new">"Run scenarios"</a> };
        let text = "A suite is the runs that one start made: an agent against scenarios.";
        return empty("No suites yet", text, action.into_any());
    }
    let open = unfinished(&page);
    view! { {open.then(refresh)} {suite_table(page.items)} {more("/suites", page.next)} }.into_any()
}

/// Suites in a table.
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

//! The list of suites.

use crate::components::chip::suite_chip;
use crate::components::format::{pass_rate, rerun, verdict_counts};
use crate::components::page_data::{
    auto_refresh, empty_state, load, next_page_link, notice, poll_while, query_param,
    section_when_loaded, with_query,
};
use crate::components::table::table;
use crate::components::time::time;
use crate::components::title::heading;
use crate::domain::{Suite, SuiteStatus};
use crate::server_fns::SuitesQuery;
use crate::services::ListPage;
use leptos::prelude::*;

#[component]
pub fn SuitesPage() -> impl IntoView {
    let [agent, status, after] = ["agent", "status", "after"].map(query_param);
    let data =
        load(move || SuitesQuery { agent: agent.get(), status: status.get(), after: after.get() });
    poll_while(data, 3000, unfinished);
    view! {
        {notice()}
        <div class="page-head">
            {heading("Suites")}
            <a class="button primary" href="/suites/new">"Run scenarios"</a>
        </div>
        {move || filters(&status.get().unwrap_or_default())}
        {section_when_loaded(data, move |page| {
            let [agent, status] = [agent, status].map(|filter| filter.get_untracked());
            show(page, &filtered_url(agent.as_deref(), status.as_deref()))
        })}
    }
}

/// The URL of the list with its filters.
fn filtered_url(agent: Option<&str>, status: Option<&str>) -> String {
    let filters = [("agent", agent.unwrap_or_default()), ("status", status.unwrap_or_default())];
    with_query("/suites", &filters)
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

fn unfinished(page: &ListPage<Suite>) -> bool {
    page.items.iter().any(|suite| !suite.status.is_final())
}

fn show(page: ListPage<Suite>, url: &str) -> AnyView {
    if page.items.is_empty() && url.contains('?') {
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
    let is_unfinished = unfinished(&page);
    view! { {is_unfinished.then(auto_refresh)} {suite_table(page.items)} {next_page_link(url, page.next)} }.into_any()
}

pub fn suite_table(suites: Vec<Suite>) -> AnyView {
    let rows = suites.into_iter().map(|suite| {
        let href = format!("/suites/{}", suite.id);
        let cancelling = suite.cancel_requested_at.is_some();
        let part = rerun(&suite).map(|part| view! { " " <span class="tag">{part}</span> });
        let rate = pass_rate(&suite);
        view! {
            <tr>
                <td>{suite_chip(suite.status, cancelling)}</td>
                <td class="main"><a href=href data-row="">{suite.agent.name}</a>
                    <span class="hint">" rev " {suite.agent.revision}</span> {part}
                    <div class="hint clip">{suite.note}</div></td>
                <td class="num" data-label="Pass rate">{rate}</td>
                <td>{verdict_counts(&suite.counts, &[])}</td>
                <td class="num" data-label="Created">{time(suite.created_at)}</td>
            </tr>
        }
        .into_any()
    });
    let columns =
        [("Status", ""), ("Agent", ""), ("Pass rate", "num"), ("Runs", ""), ("Created", "num")];
    table("Suites", "list", &columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::{filtered_url, with_query};

    #[test]
    fn next_page_keeps_the_filters() {
        let next = |agent, status| with_query(&filtered_url(agent, status), &[("after", "a+b")]);
        assert_eq!(next(None, None), "/suites?after=a%2Bb");
        assert_eq!(
            next(Some("7"), Some("finished")),
            "/suites?agent=7&status=finished&after=a%2Bb"
        );
    }
}

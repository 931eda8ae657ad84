//! The list of agents.

use crate::services::Page;
use crate::components::load::{ask, empty, loaded_below, notice};
use crate::components::time::time;
use crate::components::title::heading;
use crate::server_fns::{AgentsQuery};
use crate::server_fns::agents::AgentRow;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The list of agents.
#[component]
pub fn AgentsPage() -> impl IntoView {
    let query = use_query_map();
    let data = ask(move || AgentsQuery { after: query.with(|query| query.get("after")) });
    view! {
        {notice()}
        <div class="page-head">
            {heading("Agents")}
            <a class="button primary" href="/agents/new">"New agent"</a>
        </div>
        {loaded_below(data, table)}
    }
}

fn table(page: Page<AgentRow>) -> AnyView {
    if page.items.is_empty() {
        let action = view! { <a class="button primary" href="/agents/new">"Describe an agent"</a> };
        let text = "An agent is a system prompt, a model and its tools: what you want to test.";
        return empty("No agents yet", text, action.into_any());
    }
    let rows = page.items.into_iter().map(|agent| {
        let (edit, run) =
            (format!("/agents/{}", agent.id), format!("/suites/new?agent={}", agent.id));
        let label = format!("Run {}", agent.name);
        view! {
            <tr>
                <td class="main"><a href=edit>{agent.name}</a>
                    <div class="hint clip">{agent.description}</div></td>
                <td>{agent.category}</td>
                <td><code>{agent.model}</code></td>
                <td class="num" data-label="Tools">{agent.tools}</td>
                <td class="num" data-label="Revision">{agent.revision}</td>
                <td class="num" data-label="Saved">{time(agent.updated_at)}</td>
                <td class="end"><a class="button small" href=run aria-label=label>"Run"</a></td>
            </tr>
        }
    });
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Agents">
            <table class="list">
                <thead><tr>
                    <th scope="col">"Agent"</th><th scope="col">"Category"</th>
                    <th scope="col">"Model"</th><th scope="col" class="num">"Tools"</th>
                    <th scope="col" class="num">"Revision"</th><th scope="col" class="num">"Saved"</th>
                    <td></td>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
        {more("/agents", page.next)}
    }
    .into_any()
}

/// The link to the next page of a list.
pub fn more(base: &str, next: Option<String>) -> AnyView {
    let Some(next) = next else { return ().into_any() };
    let separator = if base.contains('?') { '&' } else { '?' };
    view! { <p><a href=format!("{base}{separator}after={next}")>"More"</a></p> }.into_any()
}

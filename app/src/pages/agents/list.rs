//! The list of agents.

use crate::components::page_data::{
    empty_state, load, next_page_link, notice, query_param, section_when_loaded,
};
use crate::components::table::table;
use crate::components::time::time;
use crate::components::title::heading;
use crate::server_fns::AgentsQuery;
use crate::server_fns::agents::AgentRow;
use crate::services::ListPage;
use leptos::prelude::*;

#[component]
pub fn AgentsPage() -> impl IntoView {
    let after = query_param("after");
    let data = load(move || AgentsQuery { after: after.get() });
    view! {
        {notice()}
        <div class="page-head">
            {heading("Agents")}
            <div class="actions">
                <a class="button" href="/import">"Import"</a>
                <a class="button" href="/agents/new?deployed=true">"New deployed agent"</a>
                <a class="button primary" href="/agents/new">"New agent"</a>
            </div>
        </div>
        {section_when_loaded(data, show)}
    }
}

fn show(page: ListPage<AgentRow>) -> AnyView {
    if page.items.is_empty() {
        let action = view! { <a class="button primary" href="/agents/new">"Create an agent"</a> };
        let text = "An agent is what you test: a system prompt, a model and its tools, or an agent that is deployed behind an HTTP endpoint.";
        return empty_state("No agents yet", text, action.into_any());
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
                <td class="num" data-label="Updated">{time(agent.updated_at)}</td>
                <td class="end"><a class="button small" href=run aria-label=label>"Run"</a></td>
            </tr>
        }
        .into_any()
    });
    let columns = [
        ("Agent", ""),
        ("Category", ""),
        ("Model", ""),
        ("Tools", "num"),
        ("Revision", "num"),
        ("Updated", "num"),
        ("", ""),
    ];
    view! { {table("Agents", "list", &columns, rows.collect())} {next_page_link("/agents", page.next)} }
        .into_any()
}

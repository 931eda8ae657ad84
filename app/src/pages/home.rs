//! Home page: running suites, latest suites, and the first steps of a new user.

use super::suites::list::suite_table;
use crate::components::chip::suite_chip;
use crate::components::form::rejection;
use crate::components::format::{plural, rerun};
use crate::components::page_data::{auto_refresh, load, notice, poll_while, when_loaded};
use crate::components::title::heading;
use crate::domain::{Connection, Suite};
use crate::server_fns::HomeQuery;
use crate::server_fns::home::HomeData;
use leptos::prelude::*;

#[component]
pub fn HomePage() -> impl IntoView {
    let data = load(|| HomeQuery {});
    poll_while(data, 3000, unfinished);
    view! { {notice()} {rejection()} {when_loaded(data, show)} }
}

fn unfinished(home: &HomeData) -> bool {
    !home.dashboard.unfinished_suites.is_empty()
}

fn show(home: HomeData) -> AnyView {
    let is_unfinished = unfinished(&home);
    let HomeData { dashboard, demo_key } = home;
    let is_new = dashboard.unfinished_suites.is_empty() && dashboard.latest.is_empty();
    if is_new {
        return first_steps(dashboard.agents, dashboard.built_in_scenarios, demo_key);
    }
    let live = dashboard.unfinished_suites.iter().map(live_card).collect_view();
    let live = (!dashboard.unfinished_suites.is_empty()).then(
        || view! { <section><h2>"Running now"</h2><div class="cards">{live}</div></section> },
    );
    view! {
        {is_unfinished.then(auto_refresh)}
        <div class="page-head">
            {heading("Overview")}
            <a class="button primary" href="/suites/new">"Run scenarios"</a>
        </div>
        {connection_problems(&dashboard.failing_connections)}
        {live}
        <section>
            <h2>"Latest suites"</h2>
            {suite_table(dashboard.latest)}
            <p><a href="/suites">"All suites"</a></p>
        </section>
        <p class="hint">
            {plural(dashboard.agents, "agent")} " · "
            {plural(dashboard.scenarios, "custom scenario")} " · "
            {plural(dashboard.built_in_scenarios, "built-in scenario")}
        </p>
    }
    .into_any()
}

fn live_card(suite: &Suite) -> AnyView {
    let progress = suite.progress;
    let href = format!("/suites/{}", suite.id);
    view! {
        <a class="card" href=href>
            <strong>{suite.agent.name.clone()}</strong>
            {rerun(suite).map(|part| view! { <span class="tag">{part}</span> })}
            {suite_chip(suite.status, suite.cancel_requested_at.is_some())}
            <progress max=progress.total.to_string() value=progress.done.to_string()
                aria-label="Completed runs">
            </progress>
            <span class="hint num">{format!("{} of {}", progress.done, progress.total)}</span>
        </a>
    }
    .into_any()
}

fn connection_problems(connections: &[Connection]) -> AnyView {
    let items = connections.iter().map(|connection| {
        let href = format!("/settings/connections/{}", connection.id);
        let reason = connection.breaker.reason.clone().unwrap_or_default();
        view! { <li><a href=href>{connection.name.clone()}</a> " " {reason}</li> }
    });
    if connections.is_empty() {
        return ().into_any();
    }
    view! {
        <div class="warning">
            <h2>"Connections with problems"</h2>
            <ul>{items.collect_view()}</ul>
        </div>
    }
    .into_any()
}

fn first_steps(agents: u32, built_in: u32, key: String) -> AnyView {
    let next_step = if agents == 0 {
        view! { <a class="button" href="/settings/connections/new">"Connect a real model"</a> }
    } else {
        view! { <a class="button" href="/suites/new">"Run your own agent"</a> }
    };
    view! {
        {heading("Try Rehearsal in a minute")}
        <p class="lead">
            "Rehearsal talks to your agent the way a user would, records the conversation, and "
            "judges it with quotes that you can check."
        </p>
        <section class="demo">
            <h2>"Demo"</h2>
            <p>
                {format!("Runs a demo agent against {built_in} built-in scenarios in under a minute. ")}
                "Some fail on purpose, so that you can see what a failure looks like."
            </p>
            <form method="post" action="/forms/demo">
                <input type="hidden" name="idempotency_key" value=key/>
                <button type="submit" class="primary">"Run the demo"</button>
            </form>
            <p class="hint">
                <strong>"The demo model is not a real model."</strong>
                " It runs inside this server without an API key or network access and follows fixed "
                "rules. Its results tell you nothing about a real model."
            </p>
        </section>
        <section>
            <h2>"With a real model"</h2>
            <ol class="steps">
                <li><a href="/settings/connections/new">"Add a connection"</a>
                    ": a provider and its API key, or any OpenAI-compatible server."</li>
                <li><a href="/agents/new">"Create an agent"</a>
                    ": its system prompt, model and tools."</li>
                <li><a href="/scenarios">"Choose scenarios"</a> " or write your own, and run them."</li>
            </ol>
            {next_step}
        </section>
    }
    .into_any()
}

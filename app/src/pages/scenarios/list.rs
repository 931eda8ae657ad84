//! List of scenarios: filter, select, run.

use crate::components::browser;
use crate::components::format::plural;
use crate::components::page_data::{
    empty_state, load, next_page_link, notice, query_param, section_when_loaded, with_query,
};
use crate::components::title::heading;
use crate::domain::{Category, Difficulty};
use crate::server_fns::ScenariosQuery;
use crate::server_fns::scenarios::{ScenarioFilterParams, ScenarioRow};
use crate::services::ListPage;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;

/// The filter in a URL.
#[must_use]
pub fn filter_of(query: &ParamsMap) -> ScenarioFilterParams {
    let value = |name: &str| query.get(name).unwrap_or_default();
    ScenarioFilterParams {
        q: value("q"),
        category: value("category"),
        difficulty: value("difficulty"),
        tag: value("tag"),
        built_in: value("built_in"),
    }
}

#[component]
pub fn ScenariosPage() -> impl IntoView {
    let query = use_query_map();
    let params = Memo::new(move |_| query.with(filter_of));
    let after = query_param("after");
    let data = load(move || ScenariosQuery { params: params.get(), after: after.get() });
    view! {
        {notice()}
        <div class="page-head">
            {heading("Scenarios")}
            <div class="actions">
                <a class="button" href="/import">"Import"</a>
                <a class="button primary" href="/scenarios/new">"New scenario"</a>
            </div>
        </div>
        {move || filter_form(&params.get())}
        {section_when_loaded(data, move |page| table(page, &params.get_untracked()))}
    }
}

/// Options of a filter. The first one does not filter.
fn choices<T: Copy>(
    all: &[(&'static str, T)],
    label: fn(T) -> &'static str,
    any: &'static str,
    selected: &str,
) -> AnyView {
    let all = all.iter().map(|(value, variant)| {
        view! { <option value=*value selected=*value == selected>{label(*variant)}</option> }
    });
    view! { <option value="">{any}</option> {all.collect_view()} }.into_any()
}

fn filter_form(params: &ScenarioFilterParams) -> AnyView {
    let built_in = params.built_in.clone();
    view! {
        <form method="get" action="/scenarios" class="filters" role="search"
            autocomplete="off">
            <label class="sr-only" for="q">"Search"</label>
            <input type="search" id="q" name="q" placeholder="Search name and description"
                value=params.q.clone() data-search=""/>
            <label class="sr-only" for="category">"Category"</label>
            <select id="category" name="category">
                {choices(Category::ALL, Category::label, "Any category", &params.category)}
            </select>
            <label class="sr-only" for="difficulty">"Difficulty"</label>
            <select id="difficulty" name="difficulty">
                {choices(Difficulty::ALL, Difficulty::label, "Any difficulty", &params.difficulty)}
            </select>
            <label class="sr-only" for="tag">"Tag"</label>
            <input type="text" id="tag" name="tag" placeholder="Tag" value=params.tag.clone()/>
            <label class="sr-only" for="built_in">"Origin"</label>
            <select id="built_in" name="built_in">
                <option value="">"Any origin"</option>
                <option value="false" selected=built_in == "false">"Custom"</option>
                <option value="true" selected=built_in == "true">"Built-in"</option>
            </select>
            <button type="submit">"Filter"</button>
            {(!params.is_empty()).then(|| view! { <a href="/scenarios">"Clear filters"</a> })}
        </form>
    }
    .into_any()
}

fn table(page: ListPage<ScenarioRow>, params: &ScenarioFilterParams) -> AnyView {
    if page.items.is_empty() {
        return if params.is_empty() {
            let action =
                view! { <a class="button primary" href="/scenarios/new">"Write a scenario"</a> };
            let text = "A scenario is a test conversation and the behaviors that you expect from the agent.";
            empty_state("No scenarios yet", text, action.into_any())
        } else {
            let action = view! { <a class="button" href="/scenarios">"Clear filters"</a> };
            empty_state(
                "No matching scenarios",
                "No scenario matches these filters.",
                action.into_any(),
            )
        };
    }
    let count = plural(u64::try_from(page.items.len()).unwrap_or_default(), "scenario");
    let count = if page.next.is_some() { format!("First {count}") } else { count };
    let pairs = params.pairs();
    let hidden = pairs.iter().map(|(name, value)| {
        view! { <input type="hidden" name=*name value=value.clone()/> }
    });
    let rows = page.items.into_iter().map(row);
    let query: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = with_query("/scenarios", &query);
    view! {
        <form method="get" action="/suites/new">
            {hidden.collect_view()}
            <div class="bar">
                <span class="hint">{count}</span>
                <button type="submit" name="selected" value="true">"Run selected"</button>
                <button type="submit" name="all" value="true">
                    {if params.is_empty() { "Run all active" } else { "Run all that match" }}
                </button>
            </div>
            <div class="scroll" tabindex="0" role="region" aria-label="Scenarios">
                <table class="list">
                    <thead><tr>
                        <th scope="col" class="check"><input type="checkbox"
                            class="needs-script" autocomplete="off" aria-label="Select all"
                            on:change=move |event| {
                                browser::check_all("scenario", event_target_checked(&event));
                            }/></th>
                        <th scope="col">"Scenario"</th><th scope="col">"Category"</th>
                        <th scope="col">"Difficulty"</th><th scope="col">"Mode"</th>
                        <th scope="col" class="num">"Turns"</th><th scope="col">"Tags"</th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </form>
        {next_page_link(&url, page.next)}
    }
    .into_any()
}

fn row(scenario: ScenarioRow) -> AnyView {
    let id = scenario.id.to_string();
    let href = format!("/scenarios/{id}");
    let select = format!("Select {}", scenario.name);
    let tags: Vec<_> =
        scenario.tags.iter().map(|tag| view! { <span class="tag">{tag.clone()}</span> }).collect();
    let turns = match scenario.mode {
        crate::domain::Mode::Scripted => scenario.turns.to_string(),
        crate::domain::Mode::Simulated => format!("≤{}", scenario.turns),
    };
    view! {
        <tr>
            <td class="check">
                <input type="checkbox" name="scenario" value=id aria-label=select/>
            </td>
            <td class="main">
                <a href=href data-row="">{scenario.name}</a>
                {scenario.is_built_in.then(|| view! { " " <span class="tag">"built-in"</span> })}
                {(!scenario.is_active).then(|| view! { " " <span class="tag warn">"inactive"</span> })}
                <div class="hint clip">{scenario.description}</div>
            </td>
            <td>{scenario.category.label()}</td>
            <td>{scenario.difficulty.label()}</td>
            <td>{scenario.mode.label()}</td>
            <td class="num" data-label="Turns">{turns}</td>
            <td>{tags}</td>
        </tr>
    }
    .into_any()
}

//! Starting a suite: agent × scenarios × repeats, with the pre-flight.

use super::preflight::panel;
use crate::address::encode;
use crate::components::browser;
use crate::components::form::{Control, Field, Form, unchecked};
use crate::components::load::{Data, ask, empty, loaded_below, notice};
use crate::components::title::heading;
use crate::domain::Draft;
use crate::pages::scenarios::list::filter_of;
use crate::server_fns::scenarios::FilterWords;
use crate::server_fns::suites::{PreflightData, StartData, StartWords};
use crate::server_fns::{PreflightQuery, StartQuery, Choice};
use leptos::ev::Event;
use leptos::prelude::*;
use leptos::web_sys::HtmlFormElement;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_query_map};
use leptos_router::params::ParamsMap;
use serde_json::json;

/// The start form.
#[component]
pub fn NewSuitePage() -> impl IntoView {
    let query = use_query_map();
    let words = Memo::new(move |_| query.with(words_of));
    // The form is drawn anew only for another list of scenarios: what is typed
    // and where the focus stands must survive each change of the address.
    let list = Memo::new(move |_| {
        words.with(|words| (words.filter.clone(), words.all && !words.filter.is_empty()))
    });
    let data = ask(move || {
        list.track();
        StartQuery { words: words.get_untracked() }
    });
    let found = ask(move || PreflightQuery { words: words.get() });
    view! {
        {notice()}
        {heading("Run scenarios")}
        {nothing_selected(&query)}
        {loaded_below(data, move |data| show(data, found))}
    }
}

/// "Run selected" of the list, with nothing ticked there.
fn nothing_selected(query: &Memo<ParamsMap>) -> AnyView {
    let query = *query;
    let nothing = move || {
        query.with(|query| query.get("selected").is_some() && query.get("scenario").is_none())
    };
    let text = "No scenario was ticked in the list. Tick here which ones to run.";
    (move || nothing().then(|| view! { <p class="notice" role="status">{text}</p> })).into_any()
}

/// What an address chooses. The names of the form count too: without WASM the
/// form itself asks for the pre-flight by GET.
fn words_of(query: &ParamsMap) -> StartWords {
    let word = |name: &str| query.get(name).unwrap_or_default();
    let first =
        |one: &str, other: &str| query.get(one).or_else(|| query.get(other)).unwrap_or_default();
    let mut scenarios = query.get_all("scenario").unwrap_or_default();
    scenarios.extend(query.get_all("scenario_ids[]").unwrap_or_default());
    StartWords {
        agent: first("agent", "agent_id"),
        scenarios,
        all: word("all") == "true",
        filter: filter_of(query),
        repeats: word("repeats"),
        concurrency: word("concurrency"),
        note: word("note"),
        allow_parallel: word_is_true(query, "allow_parallel"),
        skip_incompatible: word_is_true(query, "skip_incompatible"),
        draft: query.get("draft"),
    }
}

/// Of a hidden `false` and a ticked `true` the last one counts.
fn word_is_true(query: &ParamsMap, name: &str) -> bool {
    query.get_all(name).and_then(|all| all.last().cloned()).as_deref() == Some("true")
}

fn show(data: StartData, found: Data<PreflightData>) -> AnyView {
    if data.agents.is_empty() {
        let action = view! { <a class="button primary" href="/agents/new">"Describe an agent"</a> };
        let text = "Runs need an agent: a system prompt, a model and its tools.";
        return empty("No agent yet", text, action.into_any());
    }
    let StartData { key, mut chosen, agents, scenarios, rejected } = data;
    if chosen.repeats.is_empty() {
        "1".clone_into(&mut chosen.repeats);
    }
    let draft = Draft(json!({
        "agent_id": chosen.agent,
        "repeats": chosen.repeats,
        "concurrency": chosen.concurrency,
        "note": chosen.note,
        "allow_parallel": chosen.allow_parallel,
        "skip_incompatible": chosen.skip_incompatible,
    }));
    let rejected = rejected.map(|mut rejected| {
        // The values come from `chosen` on both ways.
        rejected.draft = draft.clone();
        rejected
    });
    let form = Form::new(draft, rejected, unchecked);
    let mut choices = vec![(String::new(), "Choose an agent".to_owned())];
    choices.extend(agents.iter().map(|agent| (agent.id.clone(), agent.name.clone())));
    let navigate = use_navigate();
    let filter = chosen.filter.clone();
    let follow = move |form: &HtmlFormElement, shown: Option<&str>| {
        let to = address(&browser::form_entries(form), &filter);
        if shown != Some(to.as_str()) {
            let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
            navigate(&to, options);
        }
    };
    // What was chosen before the page came alive told nobody.
    let (early, shown) =
        (follow.clone(), address(&entries_of(&chosen, &scenarios), &chosen.filter));
    Effect::new(move || {
        if let Some(form) = browser::form("start") {
            early(&form, Some(&shown));
        }
    });
    let changed = move |event: Event| {
        if let Some(form) = browser::form_of(&event) {
            follow(&form, None);
        }
    };
    view! {
        <form method="post" action="/forms/suites" class="start" id="start" on:change=changed
            novalidate>
            <input type="hidden" name="idempotency_key" value=key/>
            <div>
                {form.summary()}
                <section class="fields" aria-label="What runs">
                    {Field::new("agent_id", "Agent", Control::Select(choices)).required().show(form)}
                    {Field::new("repeats", "Repeats", Control::Number)
                        .hint("How often each scenario, 1–20.").show(form)}
                    {Field::new("concurrency", "At once", Control::Number)
                        .hint("1–64; empty for the server’s default.").show(form)}
                    {Field::new("note", "Note", Control::Line("text"))
                        .hint("What you want to find out.").show(form)}
                </section>
                {choose(&chosen, &scenarios)}
            </div>
            {panel(form, found)}
        </form>
    }
    .into_any()
}

/// The address of what a form says: the pre-flight follows it.
fn address(entries: &[(String, String)], filter: &FilterWords) -> String {
    let mut to = String::from("/suites/new?");
    for (name, value) in entries {
        let name = match name.as_str() {
            "idempotency_key" => continue,
            "agent_id" => "agent",
            "scenario_ids[]" => "scenario",
            name if name.starts_with("filter") => continue,
            name => name,
        };
        if !value.is_empty() && value != "false" {
            to.push_str(&format!("{name}={}&", encode(value)));
        }
    }
    for (name, value) in filter.pairs() {
        to.push_str(&format!("{name}={}&", encode(&value)));
    }
    to.pop();
    to
}

/// What the form says as it is drawn, in its order.
fn entries_of(chosen: &StartWords, scenarios: &[Choice]) -> Vec<(String, String)> {
    let mut entries = vec![
        ("agent_id", chosen.agent.clone()),
        ("repeats", chosen.repeats.clone()),
        ("concurrency", chosen.concurrency.clone()),
        ("note", chosen.note.clone()),
        ("all", chosen.all.to_string()),
    ];
    let ticked = scenarios.iter().filter(|one| chosen.scenarios.contains(&one.id));
    entries.extend(ticked.map(|one| ("scenario_ids[]", one.id.clone())));
    entries.push(("skip_incompatible", chosen.skip_incompatible.to_string()));
    entries.push(("allow_parallel", chosen.allow_parallel.to_string()));
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// All active ones, or single ones: style hides the list while all are chosen,
/// for then its boxes say nothing.
fn choose(chosen: &StartWords, scenarios: &[Choice]) -> AnyView {
    let rows = scenarios.iter().map(|scenario| row(chosen, scenario)).collect_view();
    view! {
        <fieldset class="choose">
            <legend>"Scenarios"</legend>
            {all_of(chosen)}
            <div class="pick" role="group" aria-label="Single scenarios">{rows}</div>
        </fieldset>
    }
    .into_any()
}

/// All active ones. Of a filter they are chosen by a link, not a box: what is
/// posted must never be more than the page shows.
fn all_of(chosen: &StartWords) -> AnyView {
    if chosen.filter.is_empty() {
        return view! {
            <label class="tick">
                <input type="checkbox" name="all" value="true" checked=chosen.all/>
                " All active ones"
            </label>
        }
        .into_any();
    }
    let mut entries = vec![("agent_id".to_owned(), chosen.agent.clone())];
    if chosen.all {
        let hidden = chosen.filter.pairs().into_iter().map(|(name, value)| {
            view! { <input type="hidden" name=format!("filter[{name}]") value=value/> }
        });
        return view! {
            <input type="hidden" name="all" value="true"/>
            {hidden.collect_view()}
            <p class="hint">
                "All active ones of the filter. "
                <a href=address(&entries, &chosen.filter)>"Choose single ones"</a>
            </p>
        }
        .into_any();
    }
    entries.push(("all".to_owned(), "true".to_owned()));
    view! {
        <p class="hint">
            "Filtered. " <a href=address(&entries, &chosen.filter)>"All active ones of the filter"</a>
            " · " <a href="/suites/new">"No filter"</a>
        </p>
    }
    .into_any()
}

fn row(chosen: &StartWords, scenario: &Choice) -> AnyView {
    let id = scenario.id.clone();
    let ticked = chosen.scenarios.contains(&id);
    view! {
        <label class="tick">
            <input type="checkbox" name="scenario_ids[]" value=id checked=ticked/>
            " " {scenario.name.clone()} " "
            <span class="hint">{scenario.about.clone()}</span>
        </label>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::{Choice, FilterWords, StartWords, address, entries_of, words_of};
    use leptos_router::params::ParamsMap;

    #[test]
    fn what_the_form_says_is_what_the_address_says() {
        let entries = [
            ("idempotency_key", "secret"),
            ("agent_id", "a1"),
            ("repeats", "3"),
            ("note", ""),
            ("scenario_ids[]", "s1"),
            ("scenario_ids[]", "s2"),
            ("allow_parallel", "false"),
            ("allow_parallel", "true"),
        ];
        let entries: Vec<_> =
            entries.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let filter = FilterWords { q: "a b".into(), ..FilterWords::default() };
        let to = address(&entries, &filter);
        assert_eq!(
            to,
            "/suites/new?agent=a1&repeats=3&scenario=s1&scenario=s2&allow_parallel=true&q=a%20b"
        );
        let mut query = ParamsMap::new();
        for pair in to.split_once('?').expect("query").1.split('&') {
            let (name, value) = pair.split_once('=').expect("pair");
            query.insert(name.to_owned(), value.to_owned());
        }
        let words = words_of(&query);
        assert_eq!(words.scenarios, ["s1", "s2"]);
        assert_eq!((words.agent.as_str(), words.allow_parallel, words.all), ("a1", true, false));
    }

    #[test]
    fn a_form_as_it_was_drawn_is_told_from_one_that_was_touched() {
        let choice = |id: &str| Choice { id: id.into(), name: id.into(), about: String::new() };
        let chosen = StartWords {
            agent: "a1".into(),
            repeats: "1".into(),
            scenarios: vec!["s2".into(), "of another list".into()],
            ..StartWords::default()
        };
        let entries = entries_of(&chosen, &[choice("s2"), choice("s1")]);
        let to = address(&entries, &FilterWords::default());
        assert_eq!(to, "/suites/new?agent=a1&repeats=1&scenario=s2");
    }
}

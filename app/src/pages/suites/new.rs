//! Start form of a suite: agent × scenarios × repeats, with the preflight check.

use super::preflight::{PreflightCheck, panel};
use crate::components::browser;
use crate::components::form::{Control, Field, Form, options, skip_validation};
use crate::components::form_order::FieldOrder;
use crate::components::page_data::{
    empty_state, load, notice, saved_form_of, section_when_loaded, with_query,
};
use crate::components::title::heading;
use crate::domain::{BudgetAction, Draft};
use crate::pages::scenarios::list::filter_of;
use crate::server_fns::scenarios::ScenarioFilterParams;
use crate::server_fns::suites::{StartData, StartParams};
use crate::server_fns::{Choice, PreflightQuery, StartQuery};
use leptos::ev::Event;
use leptos::prelude::*;
use leptos::web_sys::HtmlFormElement;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_query_map};
use leptos_router::params::ParamsMap;
use serde_json::json;

/// The selection is checked this many milliseconds after the last input.
const CHECK_DELAY: i32 = 200;

#[component]
pub fn NewSuitePage() -> impl IntoView {
    let query = use_query_map();
    let params = Memo::new(move |_| query.with(params_of));
    // Only another list of scenarios renders the form again. Typed values and
    // the focus must survive other changes of the URL.
    let list = Memo::new(move |_| {
        params.with(|params| (params.filter.clone(), params.all && !params.filter.is_empty()))
    });
    let data = load(move || {
        list.track();
        StartQuery { params: params.get_untracked() }
    });
    let preflight = load(move || PreflightQuery { params: params.get() });
    let is_typing = RwSignal::new(false);
    view! {
        {notice()}
        {heading("Run scenarios")}
        {empty_selection_notice(&query)}
        {section_when_loaded(data, move |data| {
            show(data, PreflightCheck { data: preflight, selection: params, is_typing })
        })}
    }
}

/// Notice after "Run selected" without a selection.
fn empty_selection_notice(query: &Memo<ParamsMap>) -> AnyView {
    let query = *query;
    let is_empty = move || {
        query.with(|query| query.get("selected").is_some() && query.get("scenario").is_none())
    };
    let text = "You did not select any scenarios. Select the ones to run below.";
    (move || is_empty().then(|| view! { <p class="notice" role="status">{text}</p> })).into_any()
}

/// The selection in a URL. Field names of the form are accepted too, because
/// without WASM the form requests the preflight check by GET.
fn params_of(query: &ParamsMap) -> StartParams {
    let value = |name: &str| query.get(name).unwrap_or_default();
    let first =
        |name: &str, field: &str| query.get(name).or_else(|| query.get(field)).unwrap_or_default();
    let mut scenarios = query.get_all("scenario").unwrap_or_default();
    scenarios.extend(query.get_all("scenario_ids[]").unwrap_or_default());
    StartParams {
        agent: first("agent", "agent_id"),
        scenarios,
        all: value("all") == "true",
        filter: filter_of(query),
        repeats: value("repeats"),
        concurrency: value("concurrency"),
        profile: value("profile"),
        note: value("note"),
        budget_usd: value("budget_usd"),
        budget_action: value("budget_action"),
        allow_parallel: is_true(query, "allow_parallel"),
        skip_incompatible: is_true(query, "skip_incompatible"),
        saved_form: saved_form_of(query),
    }
}

/// The last value counts: a checked box follows a hidden `false`.
fn is_true(query: &ParamsMap, name: &str) -> bool {
    query.get_all(name).and_then(|all| all.last().cloned()).as_deref() == Some("true")
}

/// The fields of the page, from top to bottom. Problems of connections have no field; the
/// preflight check lists them.
const FIELDS: FieldOrder = &[
    "agent_id",
    "repeats",
    "concurrency",
    "profile",
    "note",
    "budget_usd",
    "budget_action",
    "scenario_ids",
    "skip_incompatible",
    "allow_parallel",
];

fn show(data: StartData, check: PreflightCheck) -> AnyView {
    if data.agents.is_empty() {
        let action = view! { <a class="button primary" href="/agents/new">"Create an agent"</a> };
        let text = "To run scenarios you need an agent: a system prompt, a model and its tools.";
        return empty_state("No agents yet", text, action.into_any());
    }
    let StartData { key, mut params, agents, profiles, scenarios, rejected } = data;
    if params.repeats.is_empty() {
        "1".clone_into(&mut params.repeats);
    }
    let draft = Draft(json!({
        "agent_id": params.agent,
        "repeats": params.repeats,
        "concurrency": params.concurrency,
        "profile": params.profile,
        "note": params.note,
        "budget_usd": params.budget_usd,
        "budget_action": params.budget_action,
        "allow_parallel": params.allow_parallel,
        "skip_incompatible": params.skip_incompatible,
    }));
    let rejected = rejected.map(|mut rejected| {
        // `params` holds the values in both cases.
        rejected.draft = draft.clone();
        rejected
    });
    let form = Form::new(draft, rejected, skip_validation).in_order(FIELDS);
    let mut choices = vec![(String::new(), "Choose an agent".to_owned())];
    choices.extend(agents.iter().map(|agent| (agent.id.clone(), agent.name.clone())));
    let profile = profile_field(&profiles, form);
    let navigate = use_navigate();
    let filter = params.filter.clone();
    let update_url = move |form: &HtmlFormElement, current: Option<&str>| {
        let to = form_url(&browser::form_entries(form), &filter);
        if current != Some(to.as_str()) {
            let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
            navigate(&to, options);
        }
    };
    // Choices made before hydration have not updated the URL yet.
    let (update_early, rendered) =
        (update_url.clone(), form_url(&entries_of(&params, &scenarios), &params.filter));
    Effect::new(move || {
        if let Some(form) = browser::form("start") {
            update_early(&form, Some(&rendered));
        }
    });
    let inputs = StoredValue::new(0_u32);
    let changed = move |_: Event| {
        check.is_typing.set(true);
        inputs.update_value(|inputs| *inputs += 1);
        let (this, update_url) = (inputs.get_value(), update_url.clone());
        browser::after_ms(CHECK_DELAY, move || {
            if inputs.try_get_value() == Some(this)
                && let Some(form) = browser::form("start")
            {
                update_url(&form, None);
                let _ = check.is_typing.try_set(false);
            }
        });
    };
    view! {
        <form method="post" action="/forms/suites" class="start" id="start" on:input=changed
            novalidate>
            <input type="hidden" name="idempotency_key" value=key/>
            <div>
                {form.summary()}
                <section class="fields" aria-label="Suite settings">
                    {Field::new("agent_id", "Agent", Control::Select(choices)).required().show(form)}
                    {Field::new("repeats", "Repeats", Control::Number)
                        .hint("How many times to run each scenario, 1–20.").show(form)}
                    {Field::new("concurrency", "Concurrency", Control::Number)
                        .hint("How many runs at the same time, 1–64. Leave empty for the server’s default.").show(form)}
                    {profile}
                    {Field::new("note", "Note", Control::Input("text"))
                        .hint("Optional: the purpose of this suite.").show(form)}
                    {Field::new("budget_usd", "Budget in US dollars", Control::Number)
                        .hint("Optional. When it is used up, no new call starts.").show(form)}
                    {Field::new("budget_action", "When the budget is used up",
                        options(BudgetAction::ALL, BudgetAction::label)).show(form)}
                </section>
                {scenario_choice(&params, &scenarios)}
            </div>
            {panel(form, check)}
        </form>
    }
    .into_any()
}

/// The choice of a test profile, if there is one.
fn profile_field(profiles: &[Choice], form: Form) -> AnyView {
    if profiles.is_empty() {
        return ().into_any();
    }
    let mut choices = vec![(String::new(), "None".to_owned())];
    choices.extend(profiles.iter().map(|profile| (profile.id.clone(), profile.name.clone())));
    Field::new("profile", "Test profile", Control::Select(choices))
        .hint("The values of variables such as {{customer.name}}.")
        .show(form)
}

/// The URL with the values of the form. The preflight check follows the URL.
fn form_url(entries: &[(String, String)], filter: &ScenarioFilterParams) -> String {
    let entries = entries.iter().filter_map(|(name, value)| match name.as_str() {
        "idempotency_key" | "expected_runs" => None,
        "agent_id" => Some(("agent", value.as_str())),
        "scenario_ids[]" => Some(("scenario", value)),
        name if name.starts_with("filter") || value == "false" => None,
        "budget_action" if value == BudgetAction::default().as_str() => None,
        name => Some((name, value)),
    });
    let filter = filter.pairs();
    let filter = filter.iter().map(|(name, value)| (*name, value.as_str()));
    with_query("/suites/new", &entries.chain(filter).collect::<Vec<_>>())
}

/// The entries of the form as rendered, in order.
fn entries_of(params: &StartParams, scenarios: &[Choice]) -> Vec<(String, String)> {
    let mut entries = vec![
        ("agent_id", params.agent.clone()),
        ("repeats", params.repeats.clone()),
        ("concurrency", params.concurrency.clone()),
        ("profile", params.profile.clone()),
        ("note", params.note.clone()),
        ("budget_usd", params.budget_usd.clone()),
        ("budget_action", budget_action(params)),
        ("all", params.all.to_string()),
    ];
    let checked = scenarios.iter().filter(|scenario| params.scenarios.contains(&scenario.id));
    entries.extend(checked.map(|scenario| ("scenario_ids[]", scenario.id.clone())));
    entries.push(("skip_incompatible", params.skip_incompatible.to_string()));
    entries.push(("allow_parallel", params.allow_parallel.to_string()));
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value that the form shows.
fn budget_action(params: &StartParams) -> String {
    let known = BudgetAction::parse(&params.budget_action).unwrap_or_default();
    known.as_str().to_owned()
}

/// Choice of all active scenarios or individual ones. CSS hides the list while
/// all are chosen.
fn scenario_choice(params: &StartParams, scenarios: &[Choice]) -> AnyView {
    let rows = scenarios.iter().map(|scenario| row(params, scenario)).collect_view();
    view! {
        <fieldset class="scenario-choice" id="scenario_ids" tabindex="-1">
            <legend>"Scenarios"</legend>
            {all_active(params)}
            <div class="scenario-list" role="group" aria-label="Individual scenarios">{rows}</div>
        </fieldset>
    }
    .into_any()
}

/// Choice of all active scenarios. With a filter it is a link that loads the
/// page again, so that a form never posts more than the page shows.
fn all_active(params: &StartParams) -> AnyView {
    if params.filter.is_empty() {
        return view! {
            <label class="checkbox">
                <input type="checkbox" name="all" value="true" checked=params.all/>
                " All active scenarios"
            </label>
        }
        .into_any();
    }
    let mut entries = vec![("agent_id".to_owned(), params.agent.clone())];
    if params.all {
        let hidden = params.filter.pairs().into_iter().map(|(name, value)| {
            view! { <input type="hidden" name=format!("filter[{name}]") value=value/> }
        });
        return view! {
            <input type="hidden" name="all" value="true"/>
            {hidden.collect_view()}
            <p class="hint">
                "All active scenarios that match the filter. "
                <a href=form_url(&entries, &params.filter)>"Choose individual scenarios"</a>
            </p>
        }
        .into_any();
    }
    entries.push(("all".to_owned(), "true".to_owned()));
    view! {
        <p class="hint">
            "Filtered list. " <a href=form_url(&entries, &params.filter)>"Run all active scenarios that match"</a>
            " · " <a href="/suites/new">"Clear filters"</a>
        </p>
    }
    .into_any()
}

fn row(params: &StartParams, scenario: &Choice) -> AnyView {
    let id = scenario.id.clone();
    let checked = params.scenarios.contains(&id);
    view! {
        <label class="checkbox">
            <input type="checkbox" name="scenario_ids[]" value=id checked=checked/>
            " " {scenario.name.clone()} " "
            <span class="hint">{scenario.about.clone()}</span>
        </label>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::{Choice, ScenarioFilterParams, StartParams, entries_of, form_url, params_of};
    use leptos_router::params::ParamsMap;

    #[test]
    fn url_round_trips_the_form() {
        let entries = [
            ("idempotency_key", "secret"),
            ("expected_runs", "6"),
            ("agent_id", "a1"),
            ("repeats", "3"),
            ("profile", "p1"),
            ("note", ""),
            ("scenario_ids[]", "s1"),
            ("scenario_ids[]", "s2"),
            ("allow_parallel", "false"),
            ("allow_parallel", "true"),
        ];
        let entries: Vec<_> =
            entries.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let filter = ScenarioFilterParams { q: "a b".into(), ..ScenarioFilterParams::default() };
        let to = form_url(&entries, &filter);
        assert_eq!(
            to,
            "/suites/new?agent=a1&repeats=3&profile=p1&scenario=s1&scenario=s2&allow_parallel=true&q=a%20b"
        );
        let mut query = ParamsMap::new();
        for pair in to.split_once('?').expect("query").1.split('&') {
            let (name, value) = pair.split_once('=').expect("pair");
            query.insert(name.to_owned(), value.to_owned());
        }
        let params = params_of(&query);
        assert_eq!(params.scenarios, ["s1", "s2"]);
        assert_eq!(params.profile, "p1");
        assert_eq!((params.agent.as_str(), params.allow_parallel, params.all), ("a1", true, false));
    }

    #[test]
    fn rendered_form_matches_its_url() {
        let choice = |id: &str| Choice { id: id.into(), name: id.into(), about: String::new() };
        let params = StartParams {
            agent: "a1".into(),
            repeats: "1".into(),
            scenarios: vec!["s2".into(), "not listed".into()],
            ..StartParams::default()
        };
        let entries = entries_of(&params, &[choice("s2"), choice("s1")]);
        let to = form_url(&entries, &ScenarioFilterParams::default());
        assert_eq!(to, "/suites/new?agent=a1&repeats=1&scenario=s2");
    }
}

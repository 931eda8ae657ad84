//! The preflight check of a start, with the Run button.

use crate::components::form::{Control, Field, Form};
use crate::components::form_data::display_path;
use crate::components::format::{about, plural};
use crate::components::page_data::QueryResource;
use crate::components::time::clock;
use crate::domain::{ConnectionWarning, NanoUsd, Preflight, Problem, ScenarioFinding};
use crate::pages::run::parts::fact;
use crate::server_fns::suites::{PreflightData, StartParams};
use leptos::prelude::*;

/// Why the Run button is disabled; `None` if it is enabled.
fn disabled_reason(data: &PreflightData) -> Option<String> {
    if let Some(error) = &data.error {
        return Some(error.detail.clone());
    }
    let must_fix = || Some("Fix the problems above first.".to_owned());
    if !data.problems.is_empty() {
        return must_fix();
    }
    let Some(found) = &data.found else {
        let missing = if data.has_agent { "scenarios" } else { "an agent" };
        return Some(format!("Choose {missing} first."));
    };
    if !found.problems.is_empty() {
        return must_fix();
    }
    if found.unfinished_suite.is_some() && !data.allow_parallel {
        return Some(
            "This agent already has an unfinished suite with some of these scenarios.".to_owned(),
        );
    }
    if !found.incompatible.is_empty() && !data.skip_incompatible {
        return Some(misfit(found.incompatible.len()));
    }
    (found.runs == 0).then(|| "There is nothing to run.".to_owned())
}

fn misfit(scenarios: usize) -> String {
    let (subject, object) = match scenarios {
        1 => ("1 scenario does".to_owned(), "it"),
        n => (format!("{n} scenarios do"), "them"),
    };
    format!("{subject} not fit this agent. Deselect {object}, or check the box above.")
}

/// The preflight check of the selection that the form shows.
#[derive(Clone, Copy)]
pub struct PreflightCheck {
    pub data: QueryResource<PreflightData>,
    /// The selection in the URL, which the check follows.
    pub selection: Memo<StartParams>,
    /// Whether the form was changed since the URL was.
    pub is_typing: RwSignal<bool>,
}

impl PreflightCheck {
    /// Whether the result is of an earlier selection, so that its number of runs is not
    /// the number that would be started.
    fn is_outdated(self) -> bool {
        let is_outdated = match self.data.get() {
            Some(Ok(found)) => self.selection.with(|selection| found.checked != *selection),
            Some(Err(_)) | None => false,
        };
        is_outdated || self.is_typing.get()
    }
}

/// The preflight panel. Checkboxes keep their state; only results render again.
pub fn panel(form: Form, check: PreflightCheck) -> AnyView {
    let data = check.data;
    let current = move || match data.get() {
        Some(Ok(current)) => current,
        Some(Err(error)) => PreflightData { error: Some(error), ..PreflightData::default() },
        None => PreflightData::default(),
    };
    let preflight_has =
        move |condition: fn(&Preflight) -> bool| current().found.as_ref().is_some_and(condition);
    let has_unfinished = move || preflight_has(|found| found.unfinished_suite.is_some());
    let has_misfits = move || preflight_has(|found| !found.incompatible.is_empty());
    let reason = move || disabled_reason(&current());
    let runs = move || current().found.map(|found| found.runs).filter(|runs| *runs > 0);
    let label = move || match runs() {
        _ if check.is_outdated() => "Checking…".to_owned(),
        Some(runs) => format!("Run {}", plural(runs, "conversation")),
        None => "Run".to_owned(),
    };
    // Without WASM the form can be changed after the check, so the server compares.
    let expected = move || runs().map(|runs| runs.to_string()).unwrap_or_default();
    let check_again = "<button type=\"submit\" formmethod=\"get\" formaction=\"/suites/new\">\
        Check again</button>";
    view! {
        <aside class="panel preflight" aria-labelledby="preflight-head">
            <h2 id="preflight-head">"Preflight check"</h2>
            <Transition>
                {move || body(&current())}
                <div class:is-hidden=move || !has_misfits()>
                    {Field::new("skip_incompatible", "Run the others and record these as errors",
                        Control::Checkbox).show(form)}
                </div>
                <div class:is-hidden=move || !has_unfinished()>
                    {Field::new("allow_parallel", "Run in parallel anyway", Control::Checkbox)
                        .show(form)}
                </div>
                <p id="disabled-reason" class="disabled-reason" role="status">{reason}</p>
                <input type="hidden" name="expected_runs" value=expected/>
                <div class="actions">
                    <button type="submit" class="primary"
                        disabled=move || check.is_outdated() || reason().is_some()
                        aria-describedby="disabled-reason">
                        {label}
                    </button>
                    <noscript inner_html=check_again></noscript>
                </div>
            </Transition>
        </aside>
    }
    .into_any()
}

fn body(data: &PreflightData) -> AnyView {
    let nothing = Preflight::default();
    let found = data.found.as_ref().unwrap_or(&nothing);
    // Problems of connections are listed below with a link.
    let unlisted = |problem: &&Problem| {
        found.connections.iter().all(|connection| connection.path != problem.path)
    };
    let problems = data.problems.iter().chain(found.problems.iter().filter(unlisted));
    let problems = problems.map(|problem| {
        let text = format!("{}: {}.", display_path(&problem.path), problem.message);
        view! { <li class="problem">{text}</li> }
    });
    let unfinished = found.unfinished_suite.map(|id| {
        let href = format!("/suites/{id}");
        view! { <p class="warning"><a href=href>"View the unfinished suite"</a></p> }
    });
    view! {
        {data.found.as_ref().map(numbers)}
        <ul class="plain">
            {problems.collect_view()}
            {found.connections.iter().map(connection_problem).collect_view()}
        </ul>
        {pairs("Tools without a mock", &found.unmocked_tools)}
        {pairs("Scenarios that check nothing", &found.nothing_to_check)}
        {pairs("Incompatible scenarios", &found.incompatible)}
        {unfinished}
    }
    .into_any()
}

fn numbers(found: &Preflight) -> AnyView {
    view! {
        <dl class="facts-list">
            {fact("Runs", found.runs.to_string())}
            {fact("Scenarios", found.scenarios.to_string())}
            {fact("Max model calls", found.max_model_calls.to_string())}
            {found.expected_seconds.map(|seconds| fact("Estimated time", about(seconds)))}
            {fact("Estimated cost", estimated_cost(found))}
        </dl>
    }
    .into_any()
}

/// The estimate with its basis: `about $0.12, from 6 past runs; 2 scenarios without past
/// costs are not included`.
fn estimated_cost(found: &Preflight) -> String {
    let Some(usd) = found.expected_cost_usd else {
        return "unknown: no past run has a known cost".to_owned();
    };
    let amount = NanoUsd::from_number(usd).unwrap_or_default();
    let basis = format!("about {amount}, from {}", plural(found.cost_runs, "past run"));
    match found.scenarios_without_cost {
        0 => basis,
        n => format!("{basis}; without {} that have none", plural(n, "scenario")),
    }
}

/// A problem of a connection, with a link to the page where it is fixed.
fn connection_problem(warning: &ConnectionWarning) -> AnyView {
    let class = if warning.prevents_start { "problem" } else { "hint" };
    let href = format!("/settings/connections/{}", warning.connection_id);
    let name =
        (!warning.name.is_empty()).then(|| view! { " " <a href=href>{warning.name.clone()}</a> });
    let until = warning.until.map(|until| view! { " Next retry at " {clock(until)} "." });
    view! {
        <li class=class>{display_path(&warning.path)} {name} ": " {warning.message.clone()} "." {until}</li>
    }
    .into_any()
}

fn pairs(title: &'static str, all: &[ScenarioFinding]) -> AnyView {
    if all.is_empty() {
        return ().into_any();
    }
    let more = all.len().saturating_sub(8);
    let items = all.iter().take(8).map(|pair| {
        let href = format!("/scenarios/{}", pair.scenario_id);
        view! { <li><a href=href>{pair.scenario.clone()}</a> ": " {pair.reason.clone()}</li> }
    });
    view! {
        <h3>{title}</h3>
        <ul class="plain">
            {items.collect_view()}
            {(more > 0).then(|| view! { <li class="hint">{format!("and {more} more")}</li> })}
        </ul>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::{disabled_reason, misfit};
    use crate::domain::{Preflight, Problem};
    use crate::server_fns::suites::PreflightData;

    fn with(found: Preflight) -> PreflightData {
        PreflightData { found: Some(found), has_agent: true, ..PreflightData::default() }
    }

    fn says(data: &PreflightData, part: &str) {
        let reason = disabled_reason(data).expect("a reason");
        assert!(reason.contains(part), "{reason}");
    }

    #[test]
    fn run_button_is_enabled_only_without_a_reason_against() {
        says(&PreflightData::default(), "an agent");
        says(&PreflightData { has_agent: true, ..PreflightData::default() }, "scenarios");
        let ready = Preflight { runs: 3, ..Preflight::default() };
        assert_eq!(disabled_reason(&with(ready.clone())), None);
        says(&with(Preflight::default()), "nothing to run");
        let bad = Preflight { problems: vec![Problem::new("agent", "no key")], ..ready.clone() };
        says(&with(bad), "Fix the problems");
        let typed = PreflightData {
            problems: vec![Problem::new("repeats", "must be from 1 to 20")],
            ..PreflightData::default()
        };
        says(&typed, "Fix the problems");
        let id = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        let mut parallel = with(Preflight { unfinished_suite: Some(id), ..ready });
        says(&parallel, "unfinished suite");
        parallel.allow_parallel = true;
        assert_eq!(disabled_reason(&parallel), None);
    }

    #[test]
    fn misfit_reason_agrees_with_the_number_of_scenarios() {
        assert!(misfit(1).starts_with("1 scenario does not fit this agent. Deselect it,"));
        assert!(misfit(2).starts_with("2 scenarios do not fit this agent. Deselect them,"));
    }
}

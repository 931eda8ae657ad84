//! What a start would do, and the button that does it.

use crate::components::form::{Control, Field, Form};
use crate::components::form_data::spoken;
use crate::components::load::Data;
use crate::components::time::clock;
use crate::components::words::{about, cost, plural};
use crate::domain::{ConnectionTrouble, Incompatibility, Preflight, Problem};
use crate::pages::run::parts::fact;
use crate::server_fns::suites::PreflightData;
use leptos::prelude::*;

/// Why the button is off; `None` = it is on.
fn reason_against(data: &PreflightData) -> Option<String> {
    if let Some(error) = &data.refused {
        return Some(error.detail.clone());
    }
    let must_mend = || Some("Something above must be put right first.".to_owned());
    if !data.problems.is_empty() {
        return must_mend();
    }
    let Some(found) = &data.found else {
        let what = if data.has_agent { "scenarios" } else { "an agent" };
        return Some(format!("Choose {what} first."));
    };
    if !found.problems.is_empty() {
        return must_mend();
    }
    if found.unfinished_suite.is_some() && !data.allow_parallel {
        return Some("This agent is already being run against some of these scenarios.".to_owned());
    }
    if !found.incompatible.is_empty() && !data.skip_incompatible {
        return Some("Some pairs cannot work. Leave them out, or tick the box above.".to_owned());
    }
    (found.jobs == 0).then(|| "Nothing would run.".to_owned())
}

/// The pre-flight with the Run button. What can be ticked stands still; only
/// what was found is drawn again.
pub fn panel(form: Form, data: Data<PreflightData>) -> AnyView {
    let now = move || match data.get() {
        Some(Ok(now)) => now,
        Some(Err(error)) => PreflightData { refused: Some(error), ..PreflightData::default() },
        None => PreflightData::default(),
    };
    let found = move |look: fn(&Preflight) -> bool| now().found.as_ref().is_some_and(look);
    let busy = move || found(|found| found.unfinished_suite.is_some());
    let clash = move || found(|found| !found.incompatible.is_empty());
    let against = move || reason_against(&now());
    let label = move || match now().found {
        Some(found) if found.jobs > 0 => format!("Run {}", plural(found.jobs, "conversation")),
        _ => "Run".to_owned(),
    };
    let again = "<button type=\"submit\" formmethod=\"get\" formaction=\"/suites/new\">\
        Check again</button>";
    view! {
        <aside class="panel preflight" aria-labelledby="preflight-head">
            <h2 id="preflight-head">"Before it starts"</h2>
            <Transition>
                {move || body(&now())}
                <div class:gone=move || !clash()>
                    {Field::new("skip_incompatible", "Run the others; record these as errors",
                        Control::Tick).show(form)}
                </div>
                <div class:gone=move || !busy()>
                    {Field::new("allow_parallel", "Run beside it all the same", Control::Tick)
                        .show(form)}
                </div>
                <p id="why-not" class="why-not" role="status">{against}</p>
                <div class="actions">
                    <button type="submit" class="primary" disabled=move || against().is_some()
                        aria-describedby="why-not">
                        {label}
                    </button>
                    <noscript inner_html=again></noscript>
                </div>
            </Transition>
        </aside>
    }
    .into_any()
}

fn body(data: &PreflightData) -> AnyView {
    let nothing = Preflight::default();
    let found = data.found.as_ref().unwrap_or(&nothing);
    // A connection's trouble is told once, with the way to it.
    let alone = |problem: &&Problem| found.connections.iter().all(|one| one.path != problem.path);
    let problems = data.problems.iter().chain(found.problems.iter().filter(alone));
    let problems = problems.map(|problem| {
        let text = format!("{}: {}.", spoken(&problem.path), problem.message);
        view! { <li class="problem">{text}</li> }
    });
    let busy = found.unfinished_suite.map(|id| {
        let href = format!("/suites/{id}");
        view! { <p class="warning"><a href=href>"Look at the suite that is running"</a></p> }
    });
    view! {
        {data.found.as_ref().map(numbers)}
        <ul class="plain">
            {problems.collect_view()}
            {found.connections.iter().map(trouble).collect_view()}
        </ul>
        {pairs("Tools that nothing answers", &found.unmocked_tools)}
        {pairs("Cannot work", &found.incompatible)}
        {busy}
    }
    .into_any()
}

fn numbers(found: &Preflight) -> AnyView {
    view! {
        <dl class="facts-list">
            {fact("Runs", found.jobs.to_string())}
            {fact("Scenarios", found.scenarios.to_string())}
            {fact("Model calls, at most", found.expected_calls.to_string())}
            {found.expected_seconds.map(|seconds| fact("Time", about(seconds)))}
            {found.expected_cost_usd.map(|usd| fact("Cost", cost(Some(usd))))}
        </dl>
    }
    .into_any()
}

/// What is the matter with a connection, with the way to it: there it is
/// corrected, and tried.
fn trouble(one: &ConnectionTrouble) -> AnyView {
    let class = if one.stops { "problem" } else { "hint" };
    let href = format!("/settings/connections/{}", one.connection_id);
    let name = (!one.name.is_empty()).then(|| view! { " " <a href=href>{one.name.clone()}</a> });
    let until = one.until.map(|until| view! { " Next try at " {clock(until)} "." });
    view! {
        <li class=class>{spoken(&one.path)} {name} ": " {one.message.clone()} "." {until}</li>
    }
    .into_any()
}

fn pairs(title: &'static str, all: &[Incompatibility]) -> AnyView {
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
    use super::reason_against;
    use crate::domain::{Preflight, Problem};
    use crate::server_fns::suites::PreflightData;

    fn with(found: Preflight) -> PreflightData {
        PreflightData { found: Some(found), has_agent: true, ..PreflightData::default() }
    }

    fn says(data: &PreflightData, part: &str) {
        let reason = reason_against(data).expect("a reason");
        assert!(reason.contains(part), "{reason}");
    }

    #[test]
    fn the_button_is_off_with_its_reason_and_on_without() {
        says(&PreflightData::default(), "an agent");
        says(&PreflightData { has_agent: true, ..PreflightData::default() }, "scenarios");
        let ready = Preflight { jobs: 3, ..Preflight::default() };
        assert_eq!(reason_against(&with(ready.clone())), None);
        says(&with(Preflight::default()), "Nothing would run");
        let bad = Preflight { problems: vec![Problem::new("agent", "no key")], ..ready.clone() };
        says(&with(bad), "put right");
        let typed = PreflightData {
            problems: vec![Problem::new("repeats", "must be from 1 to 20")],
            ..PreflightData::default()
        };
        says(&typed, "put right");
        let id = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        let mut busy = with(Preflight { unfinished_suite: Some(id), ..ready });
        says(&busy, "already");
        busy.allow_parallel = true;
        assert_eq!(reason_against(&busy), None);
    }
}

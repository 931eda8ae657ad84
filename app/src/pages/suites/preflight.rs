//! What a start would do, and the button that does it.

use crate::components::form::{Control, Field, Form};
use crate::components::words::{about, cost, plural};
use crate::domain::{Incompatibility, Preflight};
use crate::error::AppError;
use crate::server_fns::suites::StartWords;
use leptos::prelude::*;

/// Why the button is off; `None` = it is on.
fn reason_against(chosen: &StartWords, preflight: Option<&Preflight>) -> Option<String> {
    let Some(found) = preflight else {
        let what = if chosen.agent.is_empty() { "an agent" } else { "scenarios" };
        return Some(format!("Choose {what} first."));
    };
    if !found.problems.is_empty() {
        return Some("Something below must be put right first.".to_owned());
    }
    if found.unfinished_suite.is_some() && !chosen.allow_parallel {
        return Some("This agent is already being run against some of these scenarios.".to_owned());
    }
    if !found.incompatible.is_empty() && !chosen.skip_incompatible {
        return Some("Some pairs cannot work. Leave them out, or tick the box below.".to_owned());
    }
    (found.jobs == 0).then(|| "Nothing would run.".to_owned())
}

/// The pre-flight with the Run button.
pub fn panel(
    form: Form,
    chosen: &StartWords,
    preflight: Option<Preflight>,
    refused: Option<AppError>,
) -> AnyView {
    let against = match &refused {
        Some(error) => Some(error.detail.clone()),
        None => reason_against(chosen, preflight.as_ref()),
    };
    let off = against.is_some();
    let label = match &preflight {
        Some(found) if found.jobs > 0 => format!("Run {}", plural(found.jobs, "conversation")),
        _ => "Run".to_owned(),
    };
    let found = preflight.map(|found| body(form, chosen, found));
    view! {
        <aside class="panel preflight" aria-labelledby="preflight-head">
            <h2 id="preflight-head">"Before it starts"</h2>
            {found}
            <p id="why-not" class="why-not" role="status">{against}</p>
            <div class="actions">
                <button type="submit" class="primary" disabled=off aria-describedby="why-not">
                    {label}
                </button>
                <noscript inner_html="<button type=\"submit\" formmethod=\"get\" formaction=\"/suites/new\">Check again</button>"></noscript>
            </div>
        </aside>
    }
    .into_any()
}

fn body(form: Form, chosen: &StartWords, found: Preflight) -> AnyView {
    let time =
        found.expected_seconds.map(|seconds| view! { <dt>"Time"</dt><dd>{about(seconds)}</dd> });
    let price =
        found.expected_cost_usd.map(|usd| view! { <dt>"Cost"</dt><dd>{cost(Some(usd))}</dd> });
    let unfinished = found.unfinished_suite.map(|id| view! {
        <div class="warning">
            <p><a href=format!("/suites/{id}")>"Look at the suite that is running"</a></p>
            {Field::new("allow_parallel", "Run beside it all the same", Control::Tick).show(form)}
        </div>
    });
    let problems = found.problems.iter().map(|problem| {
        view! { <li class="problem">{problem.message.clone()}</li> }
    });
    let problems = problems.collect_view();
    let incompatible = (!found.incompatible.is_empty()).then(|| view! {
        {pairs("Cannot work", &found.incompatible)}
        {Field::new("skip_incompatible", "Run the others; record these as errors", Control::Tick)
            .show(form)}
    });
    let _ = chosen;
    view! {
        <dl class="facts-list">
            <dt>"Runs"</dt><dd class="num">{found.jobs}</dd>
            <dt>"Scenarios"</dt><dd class="num">{found.scenarios}</dd>
            <dt>"Model calls, at most"</dt><dd class="num">{found.expected_calls}</dd>
            {time} {price}
        </dl>
        {unfinished}
        <ul class="plain">{problems}</ul>
        {incompatible}
        {(!found.unmocked_tools.is_empty()).then(|| pairs("Tools that nothing answers", &found.unmocked_tools))}
    }
    .into_any()
}

fn pairs(title: &'static str, all: &[Incompatibility]) -> AnyView {
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
    use crate::server_fns::suites::StartWords;

    fn says(chosen: &StartWords, found: &Preflight, part: &str) {
        let reason = reason_against(chosen, Some(found)).expect("a reason");
        assert!(reason.contains(part), "{reason}");
    }

    #[test]
    fn the_button_is_off_with_its_reason_and_on_without() {
        let mut chosen = StartWords { agent: "a".into(), ..StartWords::default() };
        assert!(reason_against(&chosen, None).is_some_and(|r| r.contains("scenarios")));
        let ready = Preflight { jobs: 3, ..Preflight::default() };
        assert_eq!(reason_against(&chosen, Some(&ready)), None);
        says(&chosen, &Preflight::default(), "Nothing would run");
        let bad = Preflight { problems: vec![Problem::new("agent", "no key")], ..ready.clone() };
        says(&chosen, &bad, "put right");
        let id = "0190a000-0000-7000-8000-000000000001".parse().expect("id");
        let busy = Preflight { unfinished_suite: Some(id), ..ready };
        says(&chosen, &busy, "already");
        chosen.allow_parallel = true;
        assert_eq!(reason_against(&chosen, Some(&busy)), None);
    }
}

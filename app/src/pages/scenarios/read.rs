//! Read-only view of a built-in scenario.

use crate::components::table::table;
use crate::domain::{Mode, ScenarioSpec, Speaker, TextToFind};
use crate::pages::run::parts::fact;
use leptos::prelude::*;

pub fn scenario(spec: &ScenarioSpec) -> AnyView {
    let facts = [
        ("Category", spec.category.label().to_owned()),
        ("Difficulty", spec.difficulty.label().to_owned()),
        ("User turns", spec.mode.label().to_owned()),
        ("Tags", spec.tags.join(", ")),
        ("Persona", persona(spec)),
        ("Required tools", spec.required_tools.join(", ")),
        ("Required agent category", spec.agent_category.clone().unwrap_or_default()),
        ("Minimum score", spec.success_criteria.min_score.to_string()),
        ("Max user turns", spec.max_turns.to_string()),
        ("Timeout", format!("{} s", spec.timeout_seconds)),
    ];
    let facts = facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| fact(name, value));
    let criteria = &spec.success_criteria;
    view! {
        <p class="lead">{spec.description.clone()}</p>
        <dl class="facts-list">{facts.collect_view()}</dl>
        {conversation(spec)}
        {behaviors(spec)}
        {list("Failure conditions", &spec.failure_conditions)}
        {list("Criteria", &criteria.criteria)}
        {list("Must include", &texts(&criteria.must_include))}
        {list("Must not include", &texts(&criteria.must_not_include))}
        {list("Must call tools", &criteria.must_call_tools)}
        {mocks(spec)}
    }
    .into_any()
}

fn persona(spec: &ScenarioSpec) -> String {
    let p = &spec.persona;
    let parts = [&p.name, &p.mood, &p.communication_style, &p.background];
    parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" · ")
}

fn list(title: &'static str, items: &[String]) -> AnyView {
    if items.is_empty() {
        return ().into_any();
    }
    let items = items.iter().map(|item| view! { <li>{item.clone()}</li> });
    view! { <section><h2>{title}</h2><ul>{items.collect_view()}</ul></section> }.into_any()
}

/// Texts, each with its way of matching if that is not the default.
fn texts(patterns: &[TextToFind]) -> Vec<String> {
    let text = |pattern: &TextToFind| match pattern.explicit_match() {
        None => pattern.text().to_owned(),
        Some(matching) => format!("{} ({})", pattern.text(), matching.label().to_lowercase()),
    };
    patterns.iter().map(text).collect()
}

fn conversation(spec: &ScenarioSpec) -> AnyView {
    if spec.mode == Mode::Simulated {
        return view! {
            <section><h2>"Goal of the simulated user"</h2><p>{spec.goal.clone()}</p></section>
            {list("Known facts", &spec.known_facts)}
        }
        .into_any();
    }
    let turns = spec.conversation_flow.iter().enumerate().map(|(i, turn)| {
        let (class, speaker) = match turn.speaker {
            Speaker::Agent => ("turn agent", "Agent (reference)"),
            _ => ("turn user", "User"),
        };
        view! {
            <article class=class>
                <header><span class="turn-number">{i + 1}</span><strong>{speaker}</strong></header>
                <p class="message-text">{turn.message.clone()}</p>
            </article>
        }
    });
    view! { <section><h2>"Script"</h2>{turns.collect_view()}</section> }.into_any()
}

fn behaviors(spec: &ScenarioSpec) -> AnyView {
    let items = spec.expected_behaviors.iter().map(|behavior| {
        let required = behavior.required.then(|| view! { " " <span class="tag">"required"</span> });
        view! { <li>{behavior.text.clone()} {required}</li> }
    });
    view! { <section><h2>"Expected behaviors"</h2><ul>{items.collect_view()}</ul></section> }
        .into_any()
}

fn mocks(spec: &ScenarioSpec) -> AnyView {
    if spec.tool_mocks.is_empty() {
        return ().into_any();
    }
    let rows = spec.tool_mocks.iter().map(|mock| {
        let when = mock.when.clone().map(|w| serde_json::Value::Object(w).to_string());
        let result = match (&mock.result, &mock.error) {
            (Some(result), _) => result.to_string(),
            (None, error) => format!("error: {}", error.clone().unwrap_or_default()),
        };
        view! {
            <tr><td><code>{mock.tool.clone()}</code></td>
                <td><code>{when.unwrap_or_else(|| "any call".to_owned())}</code></td>
                <td><code>{result}</code></td></tr>
        }
        .into_any()
    });
    let columns = [("Tool", ""), ("Arguments", ""), ("Result", "")];
    view! {
        <section>
            <h2>"Tool mocks"</h2>
            {table("Tool mocks", "", &columns, rows.collect())}
        </section>
    }
    .into_any()
}

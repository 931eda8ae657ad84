//! Form sections of a scenario.

use crate::components::form::{Control, Field, Form, options};
use crate::components::rows::{RowList, rows};
use crate::domain::{
    Category, Difficulty, Draft, EvidenceRule, Mode, OnUnmocked, Speaker, TextMatch,
};
use leptos::prelude::*;
use serde_json::json;

const LINE: Control = Control::Input("text");

pub fn section(
    id: &'static str,
    title: &'static str,
    hint: &'static str,
    content: AnyView,
) -> AnyView {
    view! {
        <section aria-labelledby=id>
            <h2 id=id>{title}</h2>
            <p class="hint">{hint}</p>
            {content}
        </section>
    }
    .into_any()
}

/// General fields and the persona.
pub fn about(form: Form) -> AnyView {
    view! {
        <section class="fields" aria-label="About the scenario">
            {Field::new("name", "Name", LINE).required().class("wide").show(form)}
            {Field::new("description", "Description", Control::TextArea(2)).class("wide").show(form)}
            {Field::new("category", "Category", options(Category::ALL, Category::label))
                .required().show(form)}
            {Field::new("difficulty", "Difficulty", options(Difficulty::ALL, Difficulty::label))
                .show(form)}
            {Field::new("tags", "Tags", Control::TextArea(2)).hint("One per line, or separated by commas.").show(form)}
            {Field::new("is_active", "Active", Control::Checkbox).checked_by_default()
                .hint("“Run all” includes active scenarios only.").show(form)}
        </section>
        <section class="fields" aria-labelledby="persona-head">
            <h2 id="persona-head" class="wide">"Persona"</h2>
            {Field::new("persona.name", "Name", LINE).show(form)}
            {Field::new("persona.mood", "Mood", LINE).show(form)}
            {Field::new("persona.communication_style", "Communication style", LINE).show(form)}
            {Field::new("persona.background", "Background", Control::TextArea(2)).class("wide").show(form)}
        </section>
    }
    .into_any()
}

/// Scripted and simulated conversation. Both are rendered, so that changing the
/// mode loses nothing. CSS hides the unused one.
pub fn conversation(form: Form) -> AnyView {
    let flow = section(
        "script",
        "Script",
        "User turns are sent in order, whatever the agent says. An agent turn is a reference reply for the judge and is never sent.",
        rows(form, FLOW),
    );
    view! {
        <section class="fields" aria-labelledby="mode-head">
            <h2 id="mode-head" class="wide">"Conversation"</h2>
            {Field::new("mode", "User turns", options(Mode::ALL, Mode::label))
                .hint("Scripted: you write them. Simulated: a model plays the persona.").show(form)}
        </section>
        <div class="if-scripted">{flow}</div>
        <section class="fields if-simulated" aria-labelledby="simulated-head">
            <h2 id="simulated-head" class="wide">"Simulated user"</h2>
            {Field::new("goal", "Goal", Control::TextArea(3)).required().class("wide")
                .hint("What the persona wants to achieve.").show(form)}
            {Field::new("known_facts", "Known facts", Control::TextArea(4)).class("wide")
                .hint("One per line. The persona shares them only when asked.").show(form)}
            {Field::new("opening_line", "Opening line", LINE).class("wide")
                .hint("Optional: a fixed first message.").show(form)}
        </section>
    }
    .into_any()
}

/// Pass criteria.
pub fn criteria(form: Form) -> AnyView {
    let lines =
        |name, label, hint| Field::new(name, label, Control::TextArea(3)).hint(hint).show(form);
    view! {
        <section class="fields" aria-labelledby="criteria-head">
            <h2 id="criteria-head" class="wide">"Pass criteria"</h2>
            {lines("failure_conditions", "Failure conditions", "What the agent must not do, one per line.")}
            {lines("success_criteria.criteria", "Criteria", "Free text for the judge, one per line.")}
            {lines("success_criteria.must_call_tools", "Must call tools", "Tool names, one per line.")}
            {Field::new("success_criteria.min_score", "Minimum score", Control::Number)
                .hint("0–100.").show(form)}
            {Field::new("success_criteria.max_response_seconds", "Max response time, in seconds",
                Control::Number).hint("Leave empty for no limit.").show(form)}
        </section>
        {section("must-include", "Must include",
            "Text that the agent must say, word for word. Case, quotation marks and dashes do not matter.",
            rows(form, MUST_INCLUDE))}
        {section("must-not-include", "Must not include",
            "Text that the agent must not say.",
            rows(form, MUST_NOT_INCLUDE))}
    }
    .into_any()
}

/// Tool requirements and the fallback for calls without a mock.
pub fn tools(form: Form) -> AnyView {
    view! {
        <div class="fields">
            {Field::new("required_tools", "Required tools", Control::TextArea(2))
                .hint("Agents without these tools cannot run this scenario. One per line.").show(form)}
            {Field::new("agent_category", "Required agent category", LINE)
                .hint("Leave empty for any agent.").show(form)}
            {Field::new("on_unmocked", "If no mock matches",
                options(OnUnmocked::ALL, OnUnmocked::label)).show(form)}
        </div>
    }
    .into_any()
}

pub fn limits(form: Form) -> AnyView {
    view! {
        <section class="fields" aria-labelledby="limits-head">
            <h2 id="limits-head" class="wide">"Limits"</h2>
            {Field::new("max_turns", "Max user turns", Control::Number).hint("1–200.").show(form)}
            {Field::new("timeout_seconds", "Timeout, in seconds", Control::Number)
                .hint("10–3600. Waiting for rate limits does not count.").show(form)}
        </section>
    }
    .into_any()
}

const SPEAKERS: &[(&str, Speaker)] = &[("user", Speaker::User), ("agent", Speaker::Agent)];

const FLOW: RowList = RowList {
    path: "conversation_flow",
    noun: "Turn",
    add: "Add turn",
    blank: |_| json!({"speaker": "user", "message": ""}),
    row: |form, index, row| {
        let field = |name, label, control| {
            Field::of_row("conversation_flow", index, name, label, control, row)
        };
        let label_of = |speaker| match speaker {
            Speaker::Agent => "Agent (reference)",
            _ => "User",
        };
        view! {
            {field("speaker", "Speaker", options(SPEAKERS, label_of)).class("narrow").show(form)}
            {field("message", "Message", Control::TextArea(2)).class("grow").show(form)}
        }
        .into_any()
    },
};

pub const BEHAVIORS: RowList = RowList {
    path: "expected_behaviors",
    noun: "Behavior",
    add: "Add behavior",
    blank: |_| json!({"text": "", "required": true, "evidence": "optional"}),
    row: |form, index, row| {
        let field = |name, label, control| {
            Field::of_row("expected_behaviors", index, name, label, control, row)
        };
        view! {
            {field("text", "What the agent should do", Control::TextArea(2)).required().class("grow")
                .show(form)}
            {field("evidence", "Evidence", options(EvidenceRule::ALL, EvidenceRule::label))
                .class("narrow").show(form)}
            {field("required", "Required", Control::Checkbox).show(form)}
        }
        .into_any()
    },
};

const MUST_INCLUDE: RowList = RowList {
    path: "success_criteria.must_include",
    noun: "Required text",
    add: "Add required text",
    blank: |_| json!({"text": "", "match": TextMatch::DEFAULT_OF_MUST_INCLUDE}),
    row: |form, index, row| text_row("success_criteria.must_include", form, index, row),
};

const MUST_NOT_INCLUDE: RowList = RowList {
    path: "success_criteria.must_not_include",
    noun: "Forbidden text",
    add: "Add forbidden text",
    blank: |_| json!({"text": "", "match": TextMatch::DEFAULT_OF_MUST_NOT_INCLUDE}),
    row: |form, index, row| text_row("success_criteria.must_not_include", form, index, row),
};

fn text_row(list: &'static str, form: Form, index: ReadSignal<usize>, row: &Draft) -> AnyView {
    let field = |name, label, control| Field::of_row(list, index, name, label, control, row);
    view! {
        {field("text", "Text", LINE).required().class("grow").show(form)}
        {field("match", "Matches", options(TextMatch::ALL, TextMatch::label)).class("narrow")
            .show(form)}
    }
    .into_any()
}

pub const MOCKS: RowList = RowList {
    path: "tool_mocks",
    noun: "Mock",
    add: "Add mock",
    blank: |_| json!({}),
    row: |form, index, row| {
        let field =
            |name, label, control| Field::of_row("tool_mocks", index, name, label, control, row);
        view! {
            {field("tool", "Tool", LINE).class("mono").show(form)}
            {field("delay_ms", "Delay, in ms", Control::Number).show(form)}
            {field("when", "Arguments", Control::TextArea(2)).class("mono")
                .hint("JSON object: arguments that must match. Leave empty to match every call.").show(form)}
            {field("result", "Result", Control::TextArea(3)).class("mono").hint("JSON, such as {\"status\": \"ok\"} or \"text in quotes\".").show(form)}
            {field("error", "Or error text", LINE).show(form)}
        }
        .into_any()
    },
};

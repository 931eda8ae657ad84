//! The fields of a scenario, section by section.

use crate::components::form::{Control, Field, Form, options};
use crate::components::rows::{Rows, rows};
use crate::domain::{Category, Difficulty, EvidenceRule, Mode, OnUnmocked, Speaker};
use leptos::prelude::*;
use serde_json::json;

const LINE: Control = Control::Line("text");

/// A section with its heading.
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

/// What it is about, and who calls.
pub fn about(form: Form) -> AnyView {
    view! {
        <section class="fields" aria-label="About the scenario">
            {Field::new("name", "Name", LINE).required().class("wide").show(form)}
            {Field::new("description", "Description", Control::Area(2)).class("wide").show(form)}
            {Field::new("category", "Category", options(Category::ALL, Category::label))
                .required().show(form)}
            {Field::new("difficulty", "Difficulty", options(Difficulty::ALL, Difficulty::label))
                .show(form)}
            {Field::new("tags", "Tags", Control::Area(2)).hint("One a line, or with commas.").show(form)}
            {Field::new("is_active", "Active", Control::Tick).on()
                .hint("“Run all” takes active scenarios only.").show(form)}
        </section>
        <section class="fields" aria-labelledby="persona-head">
            <h2 id="persona-head" class="wide">"Who calls"</h2>
            {Field::new("persona.name", "Name", LINE).show(form)}
            {Field::new("persona.mood", "Mood", LINE).show(form)}
            {Field::new("persona.communication_style", "Way of talking", LINE).show(form)}
            {Field::new("persona.background", "Background", Control::Area(2)).class("wide").show(form)}
        </section>
    }
    .into_any()
}

/// Scripted or simulated. Both are there, so that changing the mode loses
/// nothing; style hides the half that is not used.
pub fn conversation(form: Form) -> AnyView {
    let flow = section(
        "script",
        "Script",
        "User turns are sent in order, whatever the agent says. An agent turn is a reference answer for the judge and is never sent.",
        rows(form, FLOW),
    );
    view! {
        <section class="fields" aria-labelledby="mode-head">
            <h2 id="mode-head" class="wide">"Conversation"</h2>
            {Field::new("mode", "User turns are", options(Mode::ALL, Mode::label))
                .hint("Scripted: you write them. Simulated: a model plays the persona.").show(form)}
        </section>
        <div class="if-scripted">{flow}</div>
        <section class="fields if-simulated" aria-labelledby="simulated-head">
            <h2 id="simulated-head" class="wide">"Simulated user"</h2>
            {Field::new("goal", "Goal", Control::Area(3)).required().class("wide")
                .hint("What the persona wants to reach.").show(form)}
            {Field::new("known_facts", "Known facts", Control::Area(4)).class("wide")
                .hint("One a line; told only when asked.").show(form)}
            {Field::new("opening_line", "Opening line", LINE).class("wide")
                .hint("The fixed first message, if it matters.").show(form)}
        </section>
    }
    .into_any()
}

/// What is checked by rule, and the bar.
pub fn criteria(form: Form) -> AnyView {
    let lines = |name, label, hint| Field::new(name, label, Control::Area(3)).hint(hint).show(form);
    view! {
        <section class="fields" aria-labelledby="criteria-head">
            <h2 id="criteria-head" class="wide">"What decides"</h2>
            {lines("failure_conditions", "Failure conditions", "What the agent must not do; one a line.")}
            {lines("success_criteria.criteria", "Criteria", "Free text for the judge; one a line.")}
            {lines("success_criteria.must_include", "Must say", "Literal words of the agent; one a line.")}
            {lines("success_criteria.must_not_include", "Must not say", "Literal words; one a line.")}
            {lines("success_criteria.must_call_tools", "Must call", "Names of tools; one a line.")}
            {Field::new("success_criteria.min_score", "Least score", Control::Number)
                .hint("0–100.").show(form)}
            {Field::new("success_criteria.max_response_seconds", "Slowest answer, in seconds",
                Control::Number).hint("Empty: any.").show(form)}
        </section>
    }
    .into_any()
}

/// What an agent must have, and what answers a call that nothing matches.
pub fn tools(form: Form) -> AnyView {
    view! {
        <div class="fields">
            {Field::new("required_tools", "Required tools", Control::Area(2))
                .hint("An agent without them is not given this scenario; one a line.").show(form)}
            {Field::new("agent_category", "Required agent category", LINE)
                .hint("Empty: any agent.").show(form)}
            {Field::new("on_unmocked", "A call without an answer here",
                options(OnUnmocked::ALL, OnUnmocked::label)).show(form)}
        </div>
    }
    .into_any()
}

/// How long it may take.
pub fn limits(form: Form) -> AnyView {
    view! {
        <section class="fields" aria-labelledby="limits-head">
            <h2 id="limits-head" class="wide">"Limits"</h2>
            {Field::new("max_turns", "Most user turns", Control::Number).hint("1–200.").show(form)}
            {Field::new("timeout_seconds", "Active time, in seconds", Control::Number)
                .hint("10–3600; waiting for rate limits does not count.").show(form)}
        </section>
    }
    .into_any()
}

const SENT: &[(&str, Speaker)] = &[("user", Speaker::User), ("agent", Speaker::Agent)];

const FLOW: Rows = Rows {
    list: "conversation_flow",
    noun: "Turn",
    add: "Add turn",
    blank: |_| json!({"speaker": "user", "message": ""}),
    row: |form, index, row| {
        let field = |name, label, control| {
            Field::of_row("conversation_flow", index, name, label, control, row)
        };
        let who = |speaker| match speaker {
            Speaker::Agent => "Agent (reference)",
            _ => "User",
        };
        view! {
            {field("speaker", "Speaker", options(SENT, who)).class("narrow").show(form)}
            {field("message", "Message", Control::Area(2)).class("grow").show(form)}
        }
        .into_any()
    },
};

/// Rows of expected behaviours.
pub const BEHAVIORS: Rows = Rows {
    list: "expected_behaviors",
    noun: "Behaviour",
    add: "Add behaviour",
    blank: |_| json!({"text": "", "required": true, "evidence": "optional"}),
    row: |form, index, row| {
        let field = |name, label, control| {
            Field::of_row("expected_behaviors", index, name, label, control, row)
        };
        view! {
            {field("text", "What the agent does", Control::Area(2)).required().class("grow")
                .show(form)}
            {field("evidence", "Shown by", options(EvidenceRule::ALL, EvidenceRule::label))
                .class("narrow").show(form)}
            {field("required", "Required", Control::Tick).show(form)}
        }
        .into_any()
    },
};

/// Rows of prepared answers to tool calls.
pub const MOCKS: Rows = Rows {
    list: "tool_mocks",
    noun: "Answer",
    add: "Add answer",
    blank: |_| json!({}),
    row: |form, index, row| {
        let field =
            |name, label, control| Field::of_row("tool_mocks", index, name, label, control, row);
        view! {
            {field("tool", "Tool", LINE).class("mono").show(form)}
            {field("delay_ms", "Delay, in ms", Control::Number).show(form)}
            {field("when", "When", Control::Area(2)).class("mono")
                .hint("JSON: arguments that must be equal. Empty: every call.").show(form)}
            {field("result", "Result", Control::Area(3)).class("mono").hint("Text or JSON.").show(form)}
            {field("error", "Or an error", LINE).show(form)}
        }
        .into_any()
    },
};

//! A transcript, turn by turn.

use super::time::clock;
use super::words::duration;
use crate::domain::{Finish, Speaker, ToolCall, Turn};
use leptos::prelude::*;

/// One turn of a transcript. `marks` are words about it (what the judge
/// quoted from it).
pub fn turn(turn: &Turn, marks: AnyView) -> AnyView {
    let number = turn.index;
    let who = match (&turn.speaker, &turn.tool) {
        (Speaker::Tool, Some(tool)) => format!("Tool · {}", tool.name),
        (speaker, _) => speaker.label().to_owned(),
    };
    let class = match (turn.speaker, &turn.tool) {
        (Speaker::User, _) => "turn user",
        (Speaker::Agent, _) => "turn agent",
        (Speaker::Tool, Some(tool)) if tool.is_error => "turn tool bad",
        (Speaker::Tool, _) => "turn tool",
    };
    let unmocked = turn.tool.as_ref().is_some_and(|tool| !tool.mocked);
    let body = if turn.message.trim().is_empty() {
        let silent = turn.tool_calls.is_empty();
        silent.then(|| view! { <p class="said hint">"(said nothing)"</p> }).into_any()
    } else if turn.speaker == Speaker::Tool {
        view! { <pre class="said" tabindex="0">{turn.message.clone()}</pre> }.into_any()
    } else {
        view! { <p class="said">{turn.message.clone()}</p> }.into_any()
    };
    let calls = turn.tool_calls.iter().map(tool_call).collect_view();
    let finish = turn.finish.filter(|f| !matches!(f, Finish::Stop | Finish::ToolCalls));
    view! {
        <article class=class id=format!("t{number}")>
            <header>
                <a class="no" href=format!("#t{number}") aria-label=format!("Turn {number}")>
                    {number}
                </a>
                <strong>{who}</strong>
                {unmocked.then(|| view! { <span class="tag warn">"no mock"</span> })}
                {finish.map(|finish| view! { <span class="tag warn">{finish.label()}</span> })}
                <span class="facts">{facts(turn)} " " {clock(turn.at)}</span>
            </header>
            {body}
            {calls}
            {marks}
        </article>
    }
    .into_any()
}

/// `820 ms · 1204 in · 86 out`
fn facts(turn: &Turn) -> String {
    let mut facts: Vec<String> = Vec::new();
    if let Some(latency) = turn.latency_ms {
        facts.push(duration(u64::from(latency)));
    }
    if let (Some(input), Some(output)) = (turn.input_tokens, turn.output_tokens) {
        facts.push(format!("{input} in · {output} out"));
    }
    facts.join(" · ")
}

fn tool_call(call: &ToolCall) -> AnyView {
    let arguments = match &call.arguments {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    view! {
        <div class="call">
            <span class="hint">"calls "</span>
            <code>{call.name.clone()}</code>
            <code class="args">{arguments}</code>
        </div>
    }
    .into_any()
}

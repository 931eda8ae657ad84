//! Turns of a transcript.

use super::format::duration;
use super::time::clock;
use crate::domain::{FinishReason, Speaker, TokenParts, ToolCall, Turn};
use leptos::prelude::*;

/// `marks` are links to the judged items that quote the turn.
pub fn turn(turn: &Turn, marks: AnyView) -> AnyView {
    let number = turn.index;
    let speaker = match (&turn.speaker, &turn.tool) {
        (Speaker::Tool, Some(tool)) => format!("Tool · {}", tool.name),
        (role, _) => role.label().to_owned(),
    };
    let class = match (turn.speaker, &turn.tool) {
        (Speaker::User, _) => "turn user",
        (Speaker::Agent, _) => "turn agent",
        (Speaker::Tool, Some(tool)) if tool.is_error => "turn tool bad",
        (Speaker::Tool, _) => "turn tool",
    };
    let unmocked = turn.tool.as_ref().is_some_and(|tool| !tool.mocked);
    let reported = turn.tool.as_ref().is_some_and(|tool| tool.reported);
    let body = if turn.message.trim().is_empty() {
        let is_empty = turn.tool_calls.is_empty();
        is_empty.then(|| view! { <p class="message-text hint">"(empty message)"</p> }).into_any()
    } else if turn.speaker == Speaker::Tool {
        view! { <pre class="message-text" tabindex="0">{turn.message.clone()}</pre> }.into_any()
    } else {
        view! { <p class="message-text">{turn.message.clone()}</p> }.into_any()
    };
    let calls = turn.tool_calls.iter().map(tool_call).collect_view();
    let finish = turn.finish.filter(|f| !matches!(f, FinishReason::Stop | FinishReason::ToolCalls));
    view! {
        <article class=class id=format!("t{number}")>
            <header>
                <a class="turn-number" href=format!("#t{number}") aria-label=format!("Turn {number}")>
                    {number}
                </a>
                <strong>{speaker}</strong>
                {unmocked.then(|| view! { <span class="tag warn">"not mocked"</span> })}
                {reported.then(|| view! { <span class="tag">"reported by the agent"</span> })}
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

/// `820 ms · 1204 tokens in · 86 out`
fn facts(turn: &Turn) -> String {
    let mut facts: Vec<String> = Vec::new();
    if let Some(latency) = turn.latency_ms {
        facts.push(duration(u64::from(latency)));
    }
    if let Some(first) = turn.first_token_ms {
        facts.push(format!("first token after {}", duration(u64::from(first))));
    }
    if let (Some(input), Some(output)) = (turn.input_tokens, turn.output_tokens) {
        facts.push(format!("{input} tokens in · {output} out"));
    }
    let TokenParts { cached_input_tokens: cached, reasoning_tokens: reasoning, .. } =
        turn.token_parts;
    facts.extend((cached > 0).then(|| format!("{cached} cached")));
    facts.extend((reasoning > 0).then(|| format!("{reasoning} reasoning")));
    facts.extend(turn.adjustments.iter().cloned());
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

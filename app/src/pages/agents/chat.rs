//! A chat with an agent, without a run.

use crate::components::page_data::{load, route_param, saved_form_param, when_loaded};
use crate::components::title::heading;
use crate::components::turns::turn;
use crate::server_fns::AgentChatQuery;
use crate::server_fns::agents::AgentChatData;
use leptos::prelude::*;

#[component]
pub fn AgentChatPage() -> impl IntoView {
    let (id, saved_form) = (route_param("id"), saved_form_param());
    let data = load(move || AgentChatQuery {
        id: id.get().unwrap_or_default(),
        saved_form: saved_form.get(),
    });
    when_loaded(data, show)
}

fn show(data: AgentChatData) -> AnyView {
    let AgentChatData { agent, turns, conversation, message, detail, awaits_answer, ended } = data;
    let (editor, chat) = (format!("/agents/{}", agent.id), format!("/agents/{}/chat", agent.id));
    let action = format!("/forms/agents/{}/chat", agent.id);
    let is_new = turns.is_empty();
    let to_scenario = (!is_new).then(|| scenario_form(&action, conversation.clone()));
    let start_over = (!is_new).then(|| {
        view! { <a class="button" href=chat rel="external">"Start over"</a> }
    });
    let shown = turns.iter().map(|one| turn(one, ().into_any())).collect_view();
    let transcript = (!is_new).then(|| {
        view! { <section class="transcript" aria-label="Conversation">{shown}</section> }
    });
    let failure = (!detail.is_empty()).then(|| {
        view! { <div class="errors" role="alert"><h2>{detail}</h2></div> }
    });
    let form = match (ended, awaits_answer) {
        (true, _) => view! { <p class="notice" role="status">"The chat has ended."</p> }.into_any(),
        (false, true) => view! {
            <form method="post" action=action>
                <input type="hidden" name="conversation" value=conversation/>
                <button type="submit" class="primary">"Continue the answer"</button>
            </form>
        }
        .into_any(),
        (false, false) => message_form(action, conversation, message),
    };
    view! {
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href="/agents">"Agents"</a> " / " <a href=editor>{agent.name.clone()}</a>
        </nav>
        <div class="page-head">
            {heading(format!("Try {}", agent.name))}
            <div class="actions">{to_scenario} {start_over}</div>
        </div>
        <p class="hint">
            "Each message calls your provider. A model makes up the results of tools. Nothing is stored as a run."
        </p>
        {transcript}
        {failure}
        {form}
    }
    .into_any()
}

fn message_form(action: String, conversation: String, message: String) -> AnyView {
    view! {
        <form method="post" action=action class="chat-form">
            <input type="hidden" name="conversation" value=conversation/>
            <label for="message">"Message"</label>
            <textarea id="message" name="message" rows="3" required autofocus>{message}</textarea>
            <button type="submit" class="primary">"Send"</button>
        </form>
    }
    .into_any()
}

fn scenario_form(action: &str, conversation: String) -> AnyView {
    view! {
        <form method="post" action=format!("{action}/scenario") class="inline">
            <input type="hidden" name="conversation" value=conversation/>
            <button type="submit">"Turn into a scenario"</button>
        </form>
    }
    .into_any()
}

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
    let action = format!("/forms/agents/{}/chat", data.agent.id);
    let chat = format!("/agents/{}/chat", data.agent.id);
    let editor = format!("/agents/{}", data.agent.id);
    let is_new = data.turns.is_empty();
    let held = Held { conversation: data.conversation, session: data.session };
    let to_scenario = (!is_new)
        .then(|| button_form(format!("{action}/scenario"), &held, "Turn into a scenario", false));
    let may_end = data.may_end && !data.ended;
    let end = may_end.then(|| button_form(format!("{action}/end"), &held, "End the chat", false));
    let start_over = (!is_new).then(|| {
        view! { <a class="button" href=chat rel="external">"Start over"</a> }
    });
    let shown = data.turns.iter().map(|one| turn(one, ().into_any())).collect_view();
    let transcript = (!is_new).then(|| {
        view! { <section class="transcript" aria-label="Conversation">{shown}</section> }
    });
    let failure = (!data.detail.is_empty()).then(|| {
        view! { <div class="errors" role="alert"><h2>{data.detail}</h2></div> }
    });
    let form = if data.ended {
        view! { <p class="notice" role="status">"The chat has ended."</p> }.into_any()
    } else if data.awaits_answer {
        let again = if data.is_deployed { "Send the message again" } else { "Continue the answer" };
        button_form(action, &held, again, true)
    } else if data.agent_begins {
        button_form(action, &held, "Let the agent begin", true)
    } else {
        message_form(action, &held, data.message)
    };
    let hint = if data.is_deployed {
        "Each message calls your agent, which may act on it. Nothing is stored as a run."
    } else {
        "Each message calls your provider. A model simulates the results of tools. Nothing is stored as a run."
    };
    view! {
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href="/agents">"Agents"</a> " / " <a href=editor>{data.agent.name.clone()}</a>
        </nav>
        <div class="page-head">
            {heading(format!("Try {}", data.agent.name))}
            <div class="actions">{to_scenario} {end} {start_over}</div>
        </div>
        <p class="hint">{hint}</p>
        {transcript}
        {failure}
        {form}
    }
    .into_any()
}

/// What the page holds between two messages.
struct Held {
    conversation: String,
    session: String,
}

impl Held {
    fn fields(&self) -> AnyView {
        let (conversation, session) = (self.conversation.clone(), self.session.clone());
        view! {
            <input type="hidden" name="conversation" value=conversation/>
            <input type="hidden" name="session" value=session/>
        }
        .into_any()
    }
}

fn message_form(action: String, held: &Held, message: String) -> AnyView {
    view! {
        <form method="post" action=action class="chat-form">
            {held.fields()}
            <label for="message">"Message"</label>
            <textarea id="message" name="message" rows="3" required autofocus>{message}</textarea>
            <button type="submit" class="primary">"Send"</button>
        </form>
    }
    .into_any()
}

/// A form with one button.
fn button_form(action: String, held: &Held, label: &'static str, is_main: bool) -> AnyView {
    let (form_class, button_class) = if is_main { ("", "primary") } else { ("inline", "") };
    view! {
        <form method="post" action=action class=form_class>
            {held.fields()}
            <button type="submit" class=button_class>{label}</button>
        </form>
    }
    .into_any()
}

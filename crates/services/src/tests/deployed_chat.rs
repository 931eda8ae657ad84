//! Chats with deployed agents, and trying one that is not saved.

use super::deployed_agents::deployed;
use super::{Fixture, fixture, paths, status};
use domain::services::{AgentChatService, AgentService, ChatSession};
use domain::{AgentId, Draft, ErrorKind, Speaker, Turn};
use llm::testing::reply;
use llm::{CallError, ChatReply, Decision, HttpCallKind, HttpReply};
use serde_json::{Value, json};

type Reply = Result<ChatReply, CallError>;

fn says(text: &str) -> Reply {
    Ok(ChatReply { text: text.to_owned(), ..reply(1, 1) })
}

fn starts(id: &str, greeting: &str) -> Reply {
    let http = HttpReply { session_id: Some(id.to_owned()), ..HttpReply::default() };
    Ok(ChatReply { text: greeting.to_owned(), http: Some(Box::new(http)), ..reply(1, 1) })
}

fn hangs_up() -> Reply {
    let http = HttpReply { ended: true, ..HttpReply::default() };
    Ok(ChatReply { text: "Bye.".to_owned(), http: Some(Box::new(http)), ..reply(1, 1) })
}

fn fails() -> Reply {
    let decision = Decision::GiveUp(ErrorKind::OutcomeUnknown);
    Err(CallError::new(decision, "The agent closed the connection."))
}

/// An agent whose session is started and ended by requests.
fn with_session(parts: &Value) -> Value {
    let mut http = json!({
        "session": {"mode": "server", "id": {"at": "/id"}, "start": {"path": "/start"},
            "end": {"path": "/end/{{session_id}}"}},
        "request": {"path": "/say/{{session_id}}", "body": {"text": "{{message}}", "by": "{{run_id}}"}},
    });
    for (key, value) in parts.as_object().into_iter().flatten() {
        match (&mut http[key], value) {
            (Value::Object(known), Value::Object(new)) => known.extend(new.clone()),
            (slot, value) => *slot = value.clone(),
        }
    }
    http
}

async fn agent(fixture: &Fixture, parts: &Value) -> AgentId {
    let draft = deployed(Some(fixture.endpoint().await), with_session(parts));
    fixture.catalog.create_agent(&fixture.anna, &draft).await.unwrap().id
}

/// Kind, path and body of each request.
fn requests(fixture: &Fixture) -> Vec<(HttpCallKind, String, Option<Value>)> {
    let requests = fixture.provider_access.requests.lock();
    let calls = requests.iter().filter_map(|request| request.http.as_deref());
    calls.map(|call| (call.kind, call.request.path.clone(), call.request.body.clone())).collect()
}

fn texts(turns: &[Turn]) -> Vec<(Speaker, &str)> {
    turns.iter().map(|turn| (turn.speaker, turn.message.as_str())).collect()
}

#[tokio::test]
async fn session_is_started_once_used_and_ended() {
    use Speaker::{Agent, User};
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent(&fixture, &json!({})).await;
    let replies = [starts("s-1", ""), says("Hello."), says("At 3."), says("")];
    fixture.provider_access.reply_with(replies);
    let chat = it.answer(anna, id, Vec::new(), "Hi", None).await.unwrap();
    let session = chat.session.clone().unwrap();
    assert_eq!((session.id.as_str(), chat.error, chat.ended), ("s-1", None, false));
    let chat = it.answer(anna, id, chat.turns, "When?", chat.session).await.unwrap();
    let said = [(User, "Hi"), (Agent, "Hello."), (User, "When?"), (Agent, "At 3.")];
    assert_eq!(texts(&chat.turns), said);
    assert_eq!(chat.turns.iter().map(|turn| turn.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let ended = it.end(anna, id, chat.turns, chat.session).await.unwrap();
    assert!(ended.ended && ended.session.is_none() && ended.turns.len() == 4);
    let body = |text: &str| Some(json!({"text": text, "by": session.run_id.to_string()}));
    let expected = [
        (HttpCallKind::Start, "/start".to_owned(), None),
        (HttpCallKind::Message, "/say/s-1".to_owned(), body("Hi")),
        (HttpCallKind::Message, "/say/s-1".to_owned(), body("When?")),
        (HttpCallKind::End, "/end/s-1".to_owned(), None),
    ];
    assert_eq!(requests(&fixture), expected);
}

#[tokio::test]
async fn failed_message_keeps_the_session_and_is_sent_again_only_on_request() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent(&fixture, &json!({})).await;
    fixture.provider_access.reply_with([starts("s-1", ""), fails(), says("Hello.")]);
    let chat = it.answer(anna, id, Vec::new(), "Hi", None).await.unwrap();
    assert_eq!(chat.error.as_deref(), Some("The agent closed the connection."));
    assert_eq!((requests(&fixture).len(), chat.turns.len()), (2, 1));
    let chat = it.answer(anna, id, chat.turns, "", chat.session).await.unwrap();
    assert_eq!((chat.error, chat.turns.len()), (None, 2));
    assert_eq!(requests(&fixture).len(), 3, "the session is not started twice");
}

#[tokio::test]
async fn agent_that_begins_greets_or_is_asked_for_its_first_words() {
    use Speaker::Agent;
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let greets = json!({"begins": "agent", "session": {"greeting": "/hello"}});
    let greets = agent(&fixture, &greets).await;
    fixture.provider_access.reply_with([starts("s-1", "Welcome!"), hangs_up()]);
    let chat = it.answer(anna, greets, Vec::new(), "", None).await.unwrap();
    assert_eq!(texts(&chat.turns), [(Agent, "Welcome!")]);
    let chat = it.answer(anna, greets, chat.turns, "Bye", chat.session).await.unwrap();
    assert!(chat.ended, "the agent ended the conversation");
    let over = it.answer(anna, greets, chat.turns, "Hm?", chat.session).await;
    assert_eq!(status(over), 422);

    let asked = agent(&fixture, &json!({"begins": "agent"})).await;
    fixture.provider_access.reply_with([starts("s-2", ""), says("Good day.")]);
    let chat = it.answer(anna, asked, Vec::new(), "", None).await.unwrap();
    assert_eq!(texts(&chat.turns), [(Agent, "Good day.")]);
}

#[tokio::test]
async fn bad_input_is_refused_without_a_call() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let id = agent(&fixture, &json!({})).await;
    assert_eq!(paths(it.answer(anna, id, Vec::new(), " ", None).await), ["message"]);
    for id_text in ["x".repeat(1025), "a\nb".to_owned()] {
        let run_id = uuid::Uuid::from_u128(1).into();
        let session = Some(ChatSession { run_id, id: id_text });
        let refused = it.answer(anna, id, Vec::new(), "Hi", session).await;
        assert_eq!(status(refused), 400);
    }
    assert_eq!(status(it.answer(&fixture.ben, id, Vec::new(), "Hi", None).await), 404);
    let endpoint = fixture.endpoint().await;
    let draft = deployed(Some(endpoint), with_session(&json!({})));
    assert_eq!(paths(it.try_message(&fixture.ben, &draft, "Hi").await), ["connection_id"]);
    assert_eq!(paths(it.try_message(anna, &draft, "").await), ["message"]);
    let prompt = super::agent("Desk", fixture.server_wide);
    assert_eq!(paths(it.try_message(anna, &prompt, "Hi").await), ["http"]);
    assert_eq!(paths(it.try_message(anna, &Draft(json!({"http": {}})), "Hi").await).len(), 5);
    assert_eq!(requests(&fixture), []);
}

#[tokio::test]
async fn trial_shows_what_came_and_what_the_pointers_took() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let parts = json!({"response": {"text": "/reply/0/text", "end": "/over"}});
    let draft = deployed(Some(fixture.endpoint().await), with_session(&parts));
    let access = &fixture.provider_access;
    access.reply_with([starts("s-1", ""), fails(), says("")]);
    let message = json!({"reply": [{"text": "Hello."}], "a/b": 1});
    access.bodies.lock().extend([json!({"id": "s-1"}).to_string(), message.to_string()]);
    let trial = it.try_message(anna, &draft, "Hi").await.unwrap();
    assert_eq!(trial.error.as_deref(), Some("The agent closed the connection."));
    let [start, message] = trial.exchanges.as_slice() else { panic!("{trial:?}") };
    assert_eq!((start.status, start.latency_ms), (Some(200), 7));
    assert!(message.request.starts_with("POST /say/s-1\n{"), "{}", message.request);
    let values = &message.documents[0].values;
    let pointers: Vec<_> =
        values.iter().map(|v| (v.pointer.as_str(), v.depth, v.text.as_str())).collect();
    let expected = [
        ("/reply", 0, "list of 1 entry"),
        ("/reply/0", 1, "object with 1 field"),
        ("/reply/0/text", 2, "Hello."),
        ("/a~1b", 0, "1"),
    ];
    assert_eq!(pointers, expected);
    let found: Vec<_> =
        trial.findings.iter().map(|f| (f.field.as_str(), f.found.as_deref())).collect();
    let expected = [
        ("http.session.id.at", Some("s-1")),
        ("http.response.text", Some("Hello.")),
        ("http.response.end", None),
    ];
    assert_eq!(found, expected);
    let kinds: Vec<_> = requests(&fixture).into_iter().map(|request| request.0).collect();
    assert_eq!(kinds, [HttpCallKind::Start, HttpCallKind::Message, HttpCallKind::End]);
}

#[tokio::test]
async fn trial_shows_the_events_of_a_stream_and_bodies_that_are_not_json() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let endpoint = fixture.endpoint().await;
    let http = json!({"response": {"format": "sse", "text": "/t", "events": "delta"}});
    let draft = deployed(Some(endpoint), http);
    let access = &fixture.provider_access;
    let stream = "event: delta\ndata: {\"t\": \"Hel\"}\n\nevent: delta\ndata: {\"t\": \"lo.\"}\n\n\
                  event: note\ndata: {\"t\": \"no\"}\n\ndata: [DONE]\n\n";
    access.bodies.lock().extend([stream.to_owned(), "<html>Sign in</html>".to_owned()]);
    access.reply_with([says("Hello."), fails()]);
    let trial = it.try_message(anna, &draft, "Hi").await.unwrap();
    let events: Vec<_> =
        trial.exchanges[0].documents.iter().map(|document| document.event.as_str()).collect();
    assert_eq!(events, ["delta", "delta", "note"]);
    assert_eq!(trial.findings[0].found.as_deref(), Some("Hello."));
    let trial = it.try_message(anna, &draft, "Hi").await.unwrap();
    assert_eq!(trial.exchanges[0].text, "<html>Sign in</html>");
    assert!(trial.exchanges[0].documents.is_empty());
}

//! How an import selects the connection of an agent.

use super::{agent, connection, fixture};
use domain::Draft;
use domain::services::{AgentService, ConnectionService, ImportService};
use domain::services::{Cursor, ImportKind};
use serde_json::json;

/// An agent document without a connection, with these fields.
fn document(fields: serde_json::Value) -> Draft {
    let mut draft = json!({"kind": "agent", "name": "Desk", "system_prompt": "Help."});
    if let (Some(draft), Some(fields)) = (draft.as_object_mut(), fields.as_object()) {
        draft.extend(fields.clone());
    }
    Draft(draft)
}

#[tokio::test]
async fn import_finds_connection_by_listed_name() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let mine = fixture.connect(anna, "").await;
    it.create_agent(anna, &agent("Other", fixture.server_wide)).await.unwrap();
    let named = |name: &str| document(json!({"connection": name, "model": "own"}));
    let listed = it.connections(anna).await.unwrap();
    for one in listed {
        let report = it.import(anna, vec![named(&one.name)], false).await.unwrap();
        assert_eq!(report.documents[0].kind, ImportKind::Agent);
        let made = it.agents(anna, &Cursor::default()).await.unwrap().items;
        let made = made.iter().find(|agent| Some(agent.id.0) == report.documents[0].id).unwrap();
        assert_eq!((made.spec.connection_id, made.spec.model.as_str()), (one.id, "own"));
    }
    // Without a model it gets the model of another agent of this connection.
    let offered = document(json!({"connection": "Anthropic (this server's)"}));
    let report = it.import(anna, vec![offered], false).await.unwrap();
    let id = report.documents[0].id.unwrap();
    let made = it.agent(anna, domain::AgentId(id)).await.unwrap();
    assert_eq!((made.spec.connection_id, made.spec.model.as_str()), (fixture.server_wide, "m"));
    // Without a name it gets the first connection.
    let report = it.import(anna, vec![document(json!({"model": "m"}))], false).await.unwrap();
    let id = report.documents[0].id.unwrap();
    let made = it.agent(anna, domain::AgentId(id)).await.unwrap();
    assert_eq!(made.spec.connection_id, mine);
}

#[tokio::test]
async fn unknown_connection_error_lists_known_ones() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let theirs = fixture.connect(&fixture.ben, "").await;
    let said = async |fields: serde_json::Value| {
        let report = it.import(anna, vec![document(fields)], true).await.unwrap();
        report.documents.into_iter().next().unwrap().problems
    };
    let offered = format!("“Anthropic (this server's)” ({})", fixture.server_wide);
    for (path, value) in [
        ("connection", "Mine".to_owned()),
        ("connection", "anthropic (this server's)".to_owned()),
        ("connection_id", theirs.to_string()),
        ("connection_id", "no id".to_owned()),
    ] {
        let problems = said(json!({path: value, "model": "m"})).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, path);
        assert!(problems[0].message.ends_with(&format!("there is {offered}")), "{problems:?}");
    }
    let both =
        said(json!({"connection": "Mine", "connection_id": fixture.server_wide, "model": "m"}));
    assert_eq!(both.await[0].path, "connection");
    for _ in 0..2 {
        it.create_connection(anna, &connection("Twin", "https://a.example.org/v1", ""))
            .await
            .unwrap();
    }
    let twins = said(json!({"connection": "Twin", "model": "m"})).await;
    assert!(twins[0].message.contains("say which by connection_id"), "{twins:?}");
    assert!(twins[0].message.contains("there are “Twin” ("), "{twins:?}");
    // All other problems are reported too.
    let more = said(json!({"connection": "Mine", "name": "", "oddity": 1})).await;
    let mut paths: Vec<_> = more.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["connection", "model", "name", "oddity"]);
}

#[tokio::test]
async fn answer_to_an_import_with_many_problems_is_small() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    // 0.4 MB. Each document has several problems, and each unknown field lists all known ones.
    let fields: serde_json::Map<_, _> = (0..40).map(|n| (format!("f{n}"), json!(1))).collect();
    let documents = || vec![Draft(fields.clone().into()); 1000];
    let report = it.import(anna, documents(), true).await.unwrap();
    assert_eq!(report.documents.len(), 1000);
    let listed: usize = report.documents.iter().map(|document| document.problems.len()).sum();
    assert_eq!(listed, 100);
    assert!(report.problem_count > 20_000, "{}", report.problem_count);
    assert!(serde_json::to_string(&report).unwrap().len() < 200_000);
    let error = it.import(anna, documents(), false).await.unwrap_err();
    assert_eq!(error.problems.len(), 100);
    let count = format!("There are {} problems, of which", report.problem_count);
    assert!(error.detail.starts_with(&count), "{}", error.detail);
    assert!(serde_json::to_string(&error).unwrap().len() < 200_000);
}

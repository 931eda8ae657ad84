//! Agents and scenarios.

use super::{agent, fixture, paths, scenario, status};
use domain::services::Cursor;
use domain::services::{AgentService, ImportService, ScenarioService};
use domain::{Draft, ScenarioFilter};
use serde_json::json;

#[tokio::test]
async fn stale_agent_update_is_refused() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let connection = fixture.connect(anna, "").await;
    let made = it.create_agent(anna, &agent("Desk", connection)).await.unwrap();
    let saved = it.update_agent(anna, made.id, 1, &agent("Desk 2", connection)).await.unwrap();
    assert_eq!(saved.revision, 2);
    let late = it.update_agent(anna, made.id, 1, &agent("Desk 3", connection)).await;
    assert_eq!(status(late), 409);
    assert_eq!(it.agent(anna, made.id).await.unwrap(), saved);
    let revisions = it.agent_revisions(anna, made.id).await.unwrap();
    assert_eq!(revisions.iter().map(|agent| agent.revision).collect::<Vec<_>>(), [2, 1]);
    it.delete_agent(anna, made.id).await.unwrap();
    assert_eq!(status(it.agent(anna, made.id).await), 404);
    assert_eq!(it.agent_revisions(anna, made.id).await.unwrap(), revisions, "history stays");
}

#[tokio::test]
async fn all_agent_problems_are_reported_at_once() {
    let fixture = fixture().await;
    let theirs = fixture.connect(&fixture.ben, "").await;
    let draft = Draft(json!({"name": "", "system_prompt": "\u{200b}", "model": "m",
        "connection_id": theirs.to_string()}));
    let made = fixture.catalog.create_agent(&fixture.anna, &draft).await;
    assert_eq!(paths(made), ["name", "system_prompt", "connection_id"]);
    let missing = Draft(json!({"name": "Desk", "system_prompt": "Help.", "model": "m"}));
    assert_eq!(
        paths(fixture.catalog.create_agent(&fixture.anna, &missing).await),
        ["connection_id"]
    );
}

#[tokio::test]
async fn copies_are_counted() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let made = it.create_agent(anna, &agent("Desk", fixture.server_wide)).await.unwrap();
    let one = it.duplicate_agent(anna, made.id).await.unwrap();
    let two = it.duplicate_agent(anna, made.id).await.unwrap();
    let three = it.duplicate_agent(anna, one.id).await.unwrap();
    let names = [&one, &two, &three].map(|agent| agent.spec.name.as_str());
    assert_eq!(names, ["Desk (copy)", "Desk (copy 2)", "Desk (copy 3)"]);
    assert_eq!((one.revision, one.spec.model.as_str()), (1, "m"));
    let made = it.create_scenario(anna, &scenario("Late bus")).await.unwrap();
    it.duplicate_scenario(anna, made.id).await.unwrap();
    let two = it.duplicate_scenario(anna, made.id).await.unwrap();
    assert_eq!(two.spec.name, "Late bus (copy 2)");
}

#[tokio::test]
async fn built_in_scenarios_can_only_be_read_and_duplicated() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let given = fixture.built_in().await;
    let edit = it.update_scenario(anna, given.id, 1, &scenario("Mine now")).await.unwrap_err();
    assert_eq!(edit.code.status(), 409);
    assert!(edit.detail.contains("Duplicate"), "{edit}");
    assert_eq!(status(it.delete_scenario(anna, given.id).await), 409);
    let copy = it.duplicate_scenario(anna, given.id).await.unwrap();
    assert_eq!((copy.is_built_in, copy.slug), (false, None));
    assert_eq!(copy.spec.name, format!("{} (copy)", given.spec.name));
    it.update_scenario(anna, copy.id, 1, &scenario("Mine now")).await.unwrap();
    assert_eq!(it.scenario(anna, given.id).await.unwrap(), given);
}

#[tokio::test]
async fn cursors_reach_every_scenario() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    for n in 0..7 {
        it.create_scenario(anna, &scenario(&format!("Late bus / {n}"))).await.unwrap();
    }
    let own = ScenarioFilter {
        built_in: Some(false),
        q: Some(" late BUS ".into()),
        tag: Some(" ".into()),
        ..ScenarioFilter::default()
    };
    let (mut seen, mut cursor) = (Vec::new(), Cursor { after: None, limit: Some(3) });
    let mut pages = 0;
    loop {
        let page = it.scenarios(anna, &own, &cursor).await.unwrap();
        seen.extend(page.items.into_iter().map(|scenario| scenario.spec.name));
        pages += 1;
        cursor.after = page.next;
        if cursor.after.is_none() {
            break;
        }
    }
    let names: Vec<_> = (0..7).map(|n| format!("Late bus / {n}")).collect();
    assert_eq!((seen, pages), (names, 3));

    // A cursor of another list and an invalid cursor are refused.
    let agents = it.create_agent(anna, &agent("Desk", fixture.server_wide)).await.unwrap();
    it.create_agent(anna, &agent("Desk 2", fixture.server_wide)).await.unwrap();
    let one = Cursor { after: None, limit: Some(1) };
    let page = it.agents(anna, &one).await.unwrap();
    assert_eq!(page.items[0].id, agents.id);
    let rest = Cursor { after: page.next.clone(), limit: None };
    assert_eq!(it.agents(anna, &rest).await.unwrap().items[0].spec.name, "Desk 2");
    assert_eq!(it.agents(anna, &rest).await.unwrap().next, None);
    for after in [page.next, Some("damaged".into())] {
        let cursor = Cursor { after, limit: None };
        assert_eq!(paths(it.scenarios(anna, &own, &cursor).await), ["cursor"]);
    }
}

#[tokio::test]
async fn scenario_problems_have_paths() {
    let fixture = fixture().await;
    let draft = Draft(json!({"name": "Late bus", "category": "booking",
        "conversation_flow": [{"speaker": "user", "message": " "}, {"role": "user"}]}));
    let found = paths(fixture.catalog.create_scenario(&fixture.anna, &draft).await);
    assert!(found.contains(&"conversation_flow[0].message".to_owned()), "{found:?}");
    assert!(found.contains(&"conversation_flow[1].role".to_owned()), "{found:?}");
}

#[tokio::test]
async fn demo_agent_is_created_once() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let made = futures::future::join_all((0..8).map(|_| it.demo_agent(anna))).await;
    let ids: Vec<_> = made.into_iter().map(|agent| agent.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(it.agents(anna, &Cursor::default()).await.unwrap().items.len(), 1);
    assert_eq!(it.store.connections(anna.space_id).await.unwrap().len(), 1);
    assert_ne!(it.demo_agent(&fixture.ben).await.unwrap().id, ids[0]);
    // A deleted demo agent is created again.
    it.delete_agent(anna, ids[0]).await.unwrap();
    assert_ne!(it.demo_agent(anna).await.unwrap().id, ids[0]);
}

#[tokio::test]
async fn import_saves_all_or_nothing() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let theirs = fixture.connect(&fixture.ben, "").await;
    let kind = |kind: &str, mut draft: Draft| {
        draft.0["kind"] = json!(kind);
        draft
    };
    let good = kind("scenario", scenario("Late bus"));
    let bad = kind("agent", agent("Desk", theirs));
    let refused = it.import(anna, vec![good.clone(), bad], false).await;
    assert_eq!(paths(refused), ["documents[1].connection_id"]);
    let filter = ScenarioFilter { built_in: Some(false), ..ScenarioFilter::default() };
    let all = it.scenarios(anna, &filter, &Cursor::default()).await.unwrap();
    assert!(all.items.is_empty(), "nothing is saved: {:?}", all.items);
    let ours = kind("agent", agent("Desk", fixture.server_wide));
    let report = it.import(anna, vec![good, ours], false).await.unwrap();
    assert_eq!(report.documents.len(), 2);
    let made = it.scenarios(anna, &filter, &Cursor::default()).await.unwrap().items;
    assert_eq!(report.documents[0].id, Some(made[0].id.0));
    assert_eq!(it.agents(anna, &Cursor::default()).await.unwrap().items.len(), 1);
}

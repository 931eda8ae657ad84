//! Stories about what people write.

use super::{ANNA, BEN, CatalogFixture, at};
use crate::StoreError;
use crate::catalog::{After, ConnectionRow, KEPT_DRAFTS, KeyEdit, OrderKey};
use domain::{
    AgentId, AgentSpec, Category, ConnectionId, ConnectionKind, Difficulty, Draft, DraftId,
    ModelChoice, ScenarioFilter, ScenarioId, ScenarioSpec, Settings, SpaceId,
};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn connection(n: u128, space: SpaceId) -> ConnectionRow {
    ConnectionRow {
        id: ConnectionId(id(n)),
        space_id: space,
        name: format!("Connection {n}"),
        kind: ConnectionKind::OpenAi,
        base_url: "https://models.example.org/v1".into(),
        headers: BTreeMap::from([("x-team".into(), "front desk".into())]),
        key_ciphertext: Some(vec![1, 2, 3]),
        key_last4: Some("abcd".into()),
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(super) fn agent(name: &str, connection: u128) -> AgentSpec {
    let draft = json!({
        "name": name, "system_prompt": "Help.", "connection_id": id(connection).to_string(),
        "model": "m", "tools": [{"name": "look_up", "parameters": {"type": "object"}}],
    });
    AgentSpec::parse(&Draft(draft)).unwrap()
}

pub(super) fn scenario(
    name: &str,
    category: &str,
    difficulty: &str,
    tags: &[&str],
) -> ScenarioSpec {
    let draft = json!({
        "name": name, "description": format!("About {name}."), "category": category,
        "difficulty": difficulty, "tags": tags,
        "conversation_flow": [{"speaker": "user", "message": "Hello"}],
    });
    ScenarioSpec::parse(&Draft(draft)).unwrap()
}

pub async fn a_connection_is_its_space_s(f: CatalogFixture) {
    let row = connection(5, ANNA);
    f.connections.create_connection(&row).await.unwrap();
    assert_eq!(f.connections.connections(ANNA).await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(f.connections.connections(BEN).await.unwrap(), []);
    assert_eq!(f.connections.connection(BEN, row.id).await.unwrap(), None);
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(row.clone()));
    let for_engine = f.connections.connection_for_engine(row.id).await.unwrap();
    assert_eq!(for_engine, Some(row.clone()));

    let stolen = ConnectionRow { space_id: BEN, name: "Stolen".into(), ..row.clone() };
    for key in [KeyEdit::Keep, KeyEdit::Replace] {
        assert_eq!(f.connections.update_connection(&stolen, key, None).await.unwrap(), None);
    }
    let changed = ConnectionRow {
        name: "Changed".into(),
        key_ciphertext: None,
        key_last4: None,
        updated_at: at(9),
        ..row.clone()
    };
    let saved =
        f.connections.update_connection(&changed, KeyEdit::Replace, None).await.unwrap();
    assert_eq!(saved.as_ref(), Some(&changed));
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(changed));

    assert!(!f.connections.delete_connection(BEN, row.id).await.unwrap());
    assert!(f.connections.delete_connection(ANNA, row.id).await.unwrap());
    assert!(!f.connections.delete_connection(ANNA, row.id).await.unwrap());
}

pub async fn an_edit_without_a_key_leaves_the_stored_one(f: CatalogFixture) {
    let row = connection(5, ANNA);
    f.connections.create_connection(&row).await.unwrap();
    // Read by one tab; then another stores a new key; then the first writes.
    let mut renamed = f.connections.connection(ANNA, row.id).await.unwrap().unwrap();
    let rekeyed = ConnectionRow {
        key_ciphertext: Some(vec![7, 8, 9]),
        key_last4: Some("wxyz".into()),
        ..row.clone()
    };
    f.connections.update_connection(&rekeyed, KeyEdit::Replace, None).await.unwrap().unwrap();
    renamed.name = "Renamed".into();
    renamed.updated_at = at(9);
    let saved = f.connections.update_connection(&renamed, KeyEdit::Keep, None).await.unwrap();
    let both = ConnectionRow { name: "Renamed".into(), updated_at: at(9), ..rekeyed };
    assert_eq!(saved.as_ref(), Some(&both));
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(both));
}

pub async fn an_edit_of_an_older_connection_changes_nothing(f: CatalogFixture) {
    let row = connection(5, ANNA);
    f.connections.create_connection(&row).await.unwrap();
    let newer = ConnectionRow { name: "Newer".into(), updated_at: at(9), ..row.clone() };
    let saved = f.connections.update_connection(&newer, KeyEdit::Keep, Some(row.updated_at));
    assert_eq!(saved.await.unwrap().as_ref(), Some(&newer));
    let late = ConnectionRow { name: "Late".into(), updated_at: at(10), ..row.clone() };
    let refused = f.connections.update_connection(&late, KeyEdit::Keep, Some(row.updated_at));
    assert!(matches!(refused.await, Err(StoreError::Stale)));
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(newer));
    // What is somebody else's is not there, rather than stale.
    let stolen = ConnectionRow { space_id: BEN, ..late };
    let missing = f.connections.update_connection(&stolen, KeyEdit::Keep, Some(at(1)));
    assert_eq!(missing.await.unwrap(), None);
}

pub async fn a_connection_in_use_stays(f: CatalogFixture) {
    let (row, other) = (connection(5, ANNA), connection(6, ANNA));
    f.connections.create_connection(&row).await.unwrap();
    f.connections.create_connection(&other).await.unwrap();
    let agent_id = AgentId(id(20));
    f.agents.create_agent(ANNA, agent_id, &agent("Desk", 5), at(0)).await.unwrap();
    let held = f.connections.delete_connection(ANNA, row.id).await;
    assert!(matches!(&held, Err(StoreError::InUse(why)) if why.contains("Desk")), "{held:?}");
    assert!(f.connections.connection(ANNA, row.id).await.unwrap().is_some());
    let strange = f.connections.delete_connection(BEN, row.id).await.unwrap();
    assert!(!strange, "another space learns nothing of its use");

    // An older revision does not hold it, nor does a deleted agent.
    f.agents.update_agent(ANNA, agent_id, 1, &agent("Desk", 6), at(1)).await.unwrap();
    assert!(f.connections.delete_connection(ANNA, row.id).await.unwrap());
    f.agents.delete_agent(ANNA, agent_id, at(2)).await.unwrap();
    let judge = ModelChoice { connection_id: other.id, model: "m".into() };
    let settings = Settings { judge: Some(judge), simulated_user: None };
    f.settings.put_settings(ANNA, &settings).await.unwrap();
    let held = f.connections.delete_connection(ANNA, other.id).await;
    assert!(matches!(held, Err(StoreError::InUse(_))), "{held:?}");
    f.settings.put_settings(ANNA, &Settings::default()).await.unwrap();
    assert!(f.connections.delete_connection(ANNA, other.id).await.unwrap());
}

pub async fn an_agent_has_revisions(f: CatalogFixture) {
    let key = AgentId(id(20));
    let first = f.agents.create_agent(ANNA, key, &agent("One", 5), at(0)).await.unwrap();
    assert_eq!((first.revision, first.updated_at), (1, at(0)));
    let second = f.agents.update_agent(ANNA, key, 1, &agent("Two", 5), at(5)).await.unwrap();
    let second = second.unwrap();
    assert_eq!((second.revision, second.updated_at), (2, at(5)));
    assert_eq!(f.agents.agent(ANNA, key).await.unwrap(), Some(second.clone()));
    for stale in [0, 1, 3] {
        let late = f.agents.update_agent(ANNA, key, stale, &agent("X", 5), at(6)).await;
        assert!(matches!(late, Err(StoreError::Stale)), "{stale}: {late:?}");
    }
    let theirs = f.agents.update_agent(BEN, key, 2, &agent("X", 5), at(6)).await.unwrap();
    assert_eq!(theirs, None);
    assert_eq!(f.agents.agent(BEN, key).await.unwrap(), None);
    assert_eq!(f.agents.agent_revisions(ANNA, key).await.unwrap(), [second, first]);
    assert_eq!(f.agents.agent_revisions(BEN, key).await.unwrap(), []);
}

pub async fn a_deleted_agent_is_hidden_and_its_history_stays(f: CatalogFixture) {
    let key = AgentId(id(20));
    let made = f.agents.create_agent(ANNA, key, &agent("One", 5), at(0)).await.unwrap();
    assert_eq!(f.agents.count_agents(ANNA).await.unwrap(), 1);
    assert!(!f.agents.delete_agent(BEN, key, at(1)).await.unwrap());
    assert!(f.agents.delete_agent(ANNA, key, at(1)).await.unwrap());
    assert!(!f.agents.delete_agent(ANNA, key, at(2)).await.unwrap());
    assert_eq!(f.agents.agent(ANNA, key).await.unwrap(), None);
    assert_eq!(f.agents.agents(ANNA, None, 50).await.unwrap(), []);
    assert_eq!(f.agents.count_agents(ANNA).await.unwrap(), 0);
    let late = f.agents.update_agent(ANNA, key, 1, &agent("Two", 5), at(3)).await.unwrap();
    assert_eq!(late, None);
    assert_eq!(f.agents.agent_revisions(ANNA, key).await.unwrap(), [made]);
}

pub async fn agents_come_in_pages_without_gaps_or_doubles(f: CatalogFixture) {
    // The same name twice: the id decides, and neither is lost between pages.
    let names = ["Cedar", "Ash", "Birch", "Birch", "Birch", "Elm", "Ähre"];
    for (n, name) in (20..).zip(names) {
        let key = AgentId(id(n));
        f.agents.create_agent(ANNA, key, &agent(name, 5), at(0)).await.unwrap();
    }
    f.agents.create_agent(BEN, AgentId(id(90)), &agent("Alder", 5), at(0)).await.unwrap();
    for limit in 1..=8 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = f.agents.agents(ANNA, after.take(), limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(After { key: last.spec.name.clone(), id: last.id.0 });
            seen.extend(page.into_iter().map(|agent| (agent.spec.name, agent.id.0.as_u128())));
        }
        let seen: Vec<_> = seen.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        let order = [
            ("Ash", 21),
            ("Birch", 22),
            ("Birch", 23),
            ("Birch", 24),
            ("Cedar", 20),
            ("Elm", 25),
            ("Ähre", 26),
        ];
        assert_eq!(seen, order, "in pages of {limit}");
    }
}

pub async fn a_scenario_has_revisions_and_an_owner(f: CatalogFixture) {
    let key = ScenarioId(id(30));
    let one = scenario("One", "booking", "easy", &[]);
    let first = f.scenarios.create_scenario(ANNA, key, &one, at(0)).await.unwrap();
    assert_eq!((first.revision, first.is_built_in, &first.slug), (1, false, &None));
    let two = scenario("Two", "stress", "hard", &["night"]);
    let second = f.scenarios.update_scenario(ANNA, key, 1, &two, at(1)).await.unwrap().unwrap();
    let late = f.scenarios.update_scenario(ANNA, key, 1, &two, at(2)).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert_eq!(f.scenarios.update_scenario(BEN, key, 2, &two, at(2)).await.unwrap(), None);
    assert_eq!(f.scenarios.scenario(ANNA, key).await.unwrap(), Some(second.clone()));
    assert_eq!(f.scenarios.scenario(BEN, key).await.unwrap(), None);
    assert_eq!(f.scenarios.count_scenarios(ANNA).await.unwrap(), (1, 0));
    assert_eq!(f.scenarios.count_scenarios(BEN).await.unwrap(), (0, 0));

    assert!(!f.scenarios.delete_scenario(BEN, key, at(3)).await.unwrap());
    assert!(f.scenarios.delete_scenario(ANNA, key, at(3)).await.unwrap());
    assert!(!f.scenarios.delete_scenario(ANNA, key, at(4)).await.unwrap());
    assert_eq!(f.scenarios.scenario(ANNA, key).await.unwrap(), None);
    let all = ScenarioFilter::default();
    assert_eq!(f.scenarios.scenarios(ANNA, &all, None, 50).await.unwrap(), []);
    assert_eq!(f.scenarios.scenario_revisions(ANNA, key).await.unwrap(), [second, first]);
    assert_eq!(f.scenarios.scenario_revisions(BEN, key).await.unwrap(), []);
}

pub async fn built_in_scenarios_are_put_by_slug(f: CatalogFixture) {
    let store = &f.scenarios;
    let one = scenario("Opening hours", "information", "easy", &[]);
    let key = store.put_built_in("hours", ScenarioId(id(40)), &one, at(0)).await.unwrap();
    assert_eq!(key, ScenarioId(id(40)));
    let again = store.put_built_in("hours", ScenarioId(id(41)), &one, at(1)).await.unwrap();
    assert_eq!(again, key, "found by its slug");
    let seen = store.scenario(BEN, key).await.unwrap().unwrap();
    assert_eq!((seen.revision, seen.is_built_in, seen.slug.as_deref()), (1, true, Some("hours")));

    let two = scenario("Opening hours, asked politely", "information", "easy", &[]);
    assert_eq!(store.put_built_in("hours", ScenarioId(id(42)), &two, at(2)).await.unwrap(), key);
    let seen = store.scenario(ANNA, key).await.unwrap().unwrap();
    assert_eq!((seen.revision, &seen.spec, seen.updated_at), (2, &two, at(2)));
    assert_eq!(store.scenario_revisions(ANNA, key).await.unwrap().len(), 2);
    assert_eq!(store.count_scenarios(ANNA).await.unwrap(), (0, 1));

    // It belongs to nobody: nobody edits or deletes it.
    assert_eq!(store.update_scenario(ANNA, key, 2, &one, at(3)).await.unwrap(), None);
    assert!(!store.delete_scenario(ANNA, key, at(3)).await.unwrap());
}

async fn stocked(f: &CatalogFixture) {
    let shelf = [
        (50, scenario("Late bus", "booking", "hard", &["travel", "night"])),
        (51, scenario("Early bird", "booking", "easy", &["travel"])),
        (52, scenario("Refund", "support", "medium", &[])),
        (53, scenario("Early bird", "booking", "easy", &["night owls"])),
    ];
    for (n, spec) in shelf {
        let key = ScenarioId(id(n));
        f.scenarios.create_scenario(ANNA, key, &spec, at(0)).await.unwrap();
    }
    let built_in = scenario("Hello", "greeting", "easy", &["travel"]);
    f.scenarios.put_built_in("hello", ScenarioId(id(60)), &built_in, at(0)).await.unwrap();
    let theirs = scenario("Theirs", "booking", "easy", &["travel"]);
    f.scenarios.create_scenario(BEN, ScenarioId(id(70)), &theirs, at(0)).await.unwrap();
}

async fn listed(f: &CatalogFixture, filter: ScenarioFilter) -> Vec<u128> {
    let found = f.scenarios.scenarios(ANNA, &filter, None, 50).await.unwrap();
    found.into_iter().map(|scenario| scenario.id.0.as_u128()).collect()
}

pub async fn scenarios_are_filtered(f: CatalogFixture) {
    stocked(&f).await;
    let all = ScenarioFilter::default();
    assert_eq!(listed(&f, all.clone()).await, [51, 53, 50, 60, 52]);
    let of = |category| ScenarioFilter { category: Some(category), ..all.clone() };
    assert_eq!(listed(&f, of(Category::Booking)).await, [51, 53, 50]);
    let hard = ScenarioFilter { difficulty: Some(Difficulty::Hard), ..all.clone() };
    assert_eq!(listed(&f, hard).await, [50]);
    let tagged = |tag: &str| ScenarioFilter { tag: Some(tag.into()), ..all.clone() };
    assert_eq!(listed(&f, tagged("travel")).await, [51, 50, 60]);
    assert_eq!(listed(&f, tagged("night")).await, [50], "a tag is compared as a whole");
    let built_in = |built_in| ScenarioFilter { built_in: Some(built_in), ..all.clone() };
    assert_eq!(listed(&f, built_in(true)).await, [60]);
    assert_eq!(listed(&f, built_in(false)).await, [51, 53, 50, 52]);
    let both = ScenarioFilter { tag: Some("travel".into()), ..of(Category::Booking) };
    assert_eq!(listed(&f, both).await, [51, 50]);
}

pub async fn words_are_taken_literally_and_without_case(f: CatalogFixture) {
    let shelf = [(50, "100% sure"), (51, "100 percent"), (52, "snake_case"), (53, "ÄRGER im Café")];
    for (n, name) in shelf {
        let spec = scenario(name, "support", "easy", &[]);
        f.scenarios.create_scenario(ANNA, ScenarioId(id(n)), &spec, at(0)).await.unwrap();
    }
    let q = |words: &str| ScenarioFilter { q: Some(words.into()), ..ScenarioFilter::default() };
    assert_eq!(listed(&f, q("100%")).await, [50]);
    assert_eq!(listed(&f, q("e_c")).await, [52]);
    assert_eq!(listed(&f, q("SNAKE")).await, [52]);
    assert_eq!(listed(&f, q("ärger")).await, [53]);
    assert_eq!(listed(&f, q("CAFÉ")).await, [53]);
    assert_eq!(listed(&f, q("about 100")).await, [51, 50], "the description counts too");
    assert_eq!(listed(&f, q("'; --")).await, []);
    assert_eq!(listed(&f, q("  ")).await.len(), 4);
}

pub async fn scenarios_come_in_pages_in_their_order(f: CatalogFixture) {
    stocked(&f).await;
    for limit in 1..=6 {
        for q in [None, Some("early".to_owned())] {
            let wanted: &[u128] = if q.is_some() { &[51, 53] } else { &[51, 53, 50, 60, 52] };
            let filter = ScenarioFilter { q, ..ScenarioFilter::default() };
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = f.scenarios.scenarios(ANNA, &filter, after.take(), limit).await;
                let page = page.unwrap();
                let Some(last) = page.last() else { break };
                let key = OrderKey::of(&last.spec).text();
                after = Some(After { key, id: last.id.0 });
                seen.extend(page.iter().map(|scenario| scenario.id.0.as_u128()));
            }
            assert_eq!(seen, wanted, "in pages of {limit}");
        }
    }
}

pub async fn scenarios_are_fetched_by_id_in_order(f: CatalogFixture) {
    stocked(&f).await;
    let ids = [60, 52, 70, 99, 50].map(|n| ScenarioId(id(n)));
    let found = f.scenarios.scenarios_by_id(ANNA, &ids).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|scenario| scenario.id.0.as_u128()).collect();
    assert_eq!(found, [60, 52, 50], "those of others and missing ones are left out");
}

pub async fn settings_are_their_space_s(f: CatalogFixture) {
    let judge = Some(ModelChoice { connection_id: ConnectionId(id(5)), model: "judge".into() });
    let mine = Settings { judge, simulated_user: None };
    assert_eq!(f.settings.settings(ANNA).await.unwrap(), Settings::default());
    f.settings.put_settings(ANNA, &mine).await.unwrap();
    assert_eq!(f.settings.settings(ANNA).await.unwrap(), mine);
    assert_eq!(f.settings.settings(BEN).await.unwrap(), Settings::default());
    f.settings.put_settings(ANNA, &Settings::default()).await.unwrap();
    assert_eq!(f.settings.settings(ANNA).await.unwrap(), Settings::default());
}

pub async fn a_draft_is_kept_for_a_day_for_its_writer(f: CatalogFixture) {
    let day = KEPT_DRAFTS.as_secs();
    let (mine, nobody_s) = (DraftId(id(80)), DraftId(id(81)));
    f.settings.put_draft(Some(ANNA), mine, "typed", at(0)).await.unwrap();
    f.settings.put_draft(None, nobody_s, "before sign-in", at(0)).await.unwrap();
    let read = async |space, id, now| f.settings.draft(space, id, now).await.unwrap();
    assert_eq!(read(Some(ANNA), mine, at(day - 1)).await.as_deref(), Some("typed"));
    assert_eq!(read(Some(ANNA), mine, at(day)).await, None, "a day later");
    assert_eq!(read(Some(BEN), mine, at(1)).await, None);
    assert_eq!(read(None, mine, at(1)).await, None);
    assert_eq!(read(None, nobody_s, at(1)).await.as_deref(), Some("before sign-in"));
    assert_eq!(read(Some(ANNA), nobody_s, at(1)).await, None);
}

pub async fn facts_are_replaced(f: CatalogFixture) {
    assert_eq!(f.settings.fact("canary").await.unwrap(), None);
    f.settings.put_fact("canary", b"one").await.unwrap();
    f.settings.put_fact("canary", b"two").await.unwrap();
    assert_eq!(f.settings.fact("canary").await.unwrap().as_deref(), Some(&b"two"[..]));
    f.settings.writable(at(0)).await.unwrap();
}

//! Connections, agents, scenarios, settings, saved forms.

use super::{ANNA, BEN, CatalogFixture, at};
use crate::StoreError;
use crate::catalog::{ConnectionRow, KeyEdit, NameCursor, SAVED_FORM_TTL};
use domain::{
    AgentId, AgentSpec, AuthScheme, ConnectionAuth, ConnectionId, ConnectionPreset, Draft,
    ModelChoice, SavedFormId, Settings, SpaceId,
};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn connection(n: u128, space: SpaceId) -> ConnectionRow {
    ConnectionRow {
        name: format!("Connection {n}"),
        headers: BTreeMap::from([("x-team".into(), "support".into())]),
        secret_headers: Some(vec![4, 5]),
        query: BTreeMap::from([("api-version".into(), "v1".into())]),
        secret_query: Some(vec![6, 7]),
        timeout_seconds: Some(90),
        preset: Some(ConnectionPreset::OpenAi),
        key_ciphertext: Some(vec![1, 2, 3]),
        key_last4: Some("abcd".into()),
        ..super::connection(ConnectionId(id(n)), space)
    }
}

pub(super) fn agent(name: &str, connection: u128) -> AgentSpec {
    let draft = json!({
        "name": name, "system_prompt": "Help.", "connection_id": id(connection).to_string(),
        "model": "m", "tools": [{"name": "look_up", "parameters": {"type": "object"}}],
    });
    AgentSpec::parse(&Draft(draft)).unwrap()
}

pub async fn connection_belongs_to_its_space(f: CatalogFixture) {
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
    let saved = f.connections.update_connection(&changed, KeyEdit::Replace, None).await.unwrap();
    assert_eq!(saved.as_ref(), Some(&changed));
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(changed.clone()));

    let models = ["m-1".to_owned(), "m-2".to_owned()];
    f.connections.put_connection_models(BEN, row.id, &["theirs".to_owned()]).await.unwrap();
    f.connections.put_connection_models(ANNA, row.id, &models).await.unwrap();
    let listed = f.connections.connection(ANNA, row.id).await.unwrap().unwrap();
    assert_eq!(listed, ConnectionRow { models: models.into(), ..changed.clone() });
    let edited = f.connections.update_connection(&changed, KeyEdit::Keep, None).await.unwrap();
    assert_eq!(edited, Some(listed), "an edit keeps the list");

    assert!(!f.connections.delete_connection(BEN, row.id).await.unwrap());
    assert!(f.connections.delete_connection(ANNA, row.id).await.unwrap());
    assert!(!f.connections.delete_connection(ANNA, row.id).await.unwrap());
}

pub async fn edit_without_key_keeps_stored_key(f: CatalogFixture) {
    let row = connection(5, ANNA);
    f.connections.create_connection(&row).await.unwrap();
    // One tab reads the row, another tab replaces the key, the first tab saves.
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

pub async fn kept_key_stays_at_its_address(f: CatalogFixture) {
    let row = connection(5, ANNA);
    f.connections.create_connection(&row).await.unwrap();
    // One tab reads the row, another tab enters a key for a new address, the first tab
    // saves the old address without a key.
    let moved = ConnectionRow {
        base_url: "https://other.example.org".into(),
        key_ciphertext: Some(vec![7, 8, 9]),
        ..row.clone()
    };
    f.connections.update_connection(&moved, KeyEdit::Replace, None).await.unwrap().unwrap();
    let refused = f.connections.update_connection(&row, KeyEdit::Keep, None).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(moved.clone()));
    // A client secret is sent to the token URL, so it stays there too.
    let auth = ConnectionAuth {
        client_id: "app".into(),
        token_url: "https://evil.example.org/token".into(),
        ..AuthScheme::OauthClientCredentials.into()
    };
    let other_token_url = ConnectionRow { auth, ..moved };
    let refused = f.connections.update_connection(&other_token_url, KeyEdit::Keep, None).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    let without_key = ConnectionRow { key_ciphertext: None, key_last4: None, ..row };
    let saved = f.connections.update_connection(&without_key, KeyEdit::Replace, None).await;
    assert_eq!(saved.unwrap(), Some(without_key));
}

pub async fn stale_connection_edit_is_refused(f: CatalogFixture) {
    let row = connection(5, ANNA);
    f.connections.create_connection(&row).await.unwrap();
    let newer = ConnectionRow { name: "Newer".into(), updated_at: at(9), ..row.clone() };
    let saved = f.connections.update_connection(&newer, KeyEdit::Keep, Some(row.updated_at));
    assert_eq!(saved.await.unwrap().as_ref(), Some(&newer));
    let late = ConnectionRow { name: "Late".into(), updated_at: at(10), ..row.clone() };
    let refused = f.connections.update_connection(&late, KeyEdit::Keep, Some(row.updated_at));
    assert!(matches!(refused.await, Err(StoreError::Stale)));
    assert_eq!(f.connections.connection(ANNA, row.id).await.unwrap(), Some(newer));
    // Another space gets `None` instead of `Stale`.
    let stolen = ConnectionRow { space_id: BEN, ..late };
    let missing = f.connections.update_connection(&stolen, KeyEdit::Keep, Some(at(1)));
    assert_eq!(missing.await.unwrap(), None);
}

pub async fn connection_in_use_is_not_deleted(f: CatalogFixture) {
    let (row, other) = (connection(5, ANNA), connection(6, ANNA));
    f.connections.create_connection(&row).await.unwrap();
    f.connections.create_connection(&other).await.unwrap();
    let agent_id = AgentId(id(20));
    f.agents.create_agent(ANNA, agent_id, &agent("Helper", 5), at(0)).await.unwrap();
    let refused = f.connections.delete_connection(ANNA, row.id).await;
    assert!(
        matches!(&refused, Err(StoreError::InUse(why)) if why.contains("Helper")),
        "{refused:?}"
    );
    assert!(f.connections.connection(ANNA, row.id).await.unwrap().is_some());
    let foreign = f.connections.delete_connection(BEN, row.id).await.unwrap();
    assert!(!foreign, "another space does not learn that it is in use");

    // Older revisions and deleted agents do not count as use.
    f.agents.update_agent(ANNA, agent_id, 1, &agent("Helper", 6), at(1)).await.unwrap();
    assert!(f.connections.delete_connection(ANNA, row.id).await.unwrap());
    f.agents.delete_agent(ANNA, agent_id, at(2)).await.unwrap();
    let judge = ModelChoice::new(other.id, "m");
    let settings = Settings { judge: Some(judge), simulated_user: None };
    f.settings.put_settings(ANNA, &settings).await.unwrap();
    let refused = f.connections.delete_connection(ANNA, other.id).await;
    assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
    f.settings.put_settings(ANNA, &Settings::default()).await.unwrap();
    assert!(f.connections.delete_connection(ANNA, other.id).await.unwrap());
}

pub async fn agent_update_creates_revision(f: CatalogFixture) {
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

pub async fn deleted_agent_is_hidden_but_keeps_its_revisions(f: CatalogFixture) {
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

pub async fn agent_pages_have_no_gaps_or_duplicates(f: CatalogFixture) {
    // The id orders equal names.
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
            after = Some(NameCursor { key: last.spec.name.clone(), id: last.id.0 });
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

pub async fn settings_belong_to_their_space(f: CatalogFixture) {
    let judge = Some(ModelChoice::new(ConnectionId(id(5)), "judge"));
    let mine = Settings { judge, simulated_user: None };
    assert_eq!(f.settings.settings(ANNA).await.unwrap(), Settings::default());
    f.settings.put_settings(ANNA, &mine).await.unwrap();
    assert_eq!(f.settings.settings(ANNA).await.unwrap(), mine);
    assert_eq!(f.settings.settings(BEN).await.unwrap(), Settings::default());
    f.settings.put_settings(ANNA, &Settings::default()).await.unwrap();
    assert_eq!(f.settings.settings(ANNA).await.unwrap(), Settings::default());
}

pub async fn saved_form_expires_after_a_day_and_belongs_to_its_space(f: CatalogFixture) {
    let day = SAVED_FORM_TTL.as_secs();
    let (mine, anonymous) = (SavedFormId(id(80)), SavedFormId(id(81)));
    f.settings.put_saved_form(Some(ANNA), mine, "typed", at(0)).await.unwrap();
    f.settings.put_saved_form(None, anonymous, "before sign-in", at(0)).await.unwrap();
    let read = async |space, id, now| f.settings.saved_form(space, id, now).await.unwrap();
    assert_eq!(read(Some(ANNA), mine, at(day - 1)).await.as_deref(), Some("typed"));
    assert_eq!(read(Some(ANNA), mine, at(day)).await, None, "a day later");
    assert_eq!(read(Some(BEN), mine, at(1)).await, None);
    assert_eq!(read(None, mine, at(1)).await, None);
    assert_eq!(read(None, anonymous, at(1)).await.as_deref(), Some("before sign-in"));
    assert_eq!(read(Some(ANNA), anonymous, at(1)).await, None);
}

pub async fn metadata_is_replaced(f: CatalogFixture) {
    assert_eq!(f.settings.metadata("key_check").await.unwrap(), None);
    f.settings.put_metadata("key_check", b"one").await.unwrap();
    f.settings.put_metadata("key_check", b"two").await.unwrap();
    assert_eq!(f.settings.metadata("key_check").await.unwrap().as_deref(), Some(&b"two"[..]));
    f.settings.check_writable(at(0)).await.unwrap();
}

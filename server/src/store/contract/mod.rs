//! What every store must do: one set of stories, told to each of them.

mod accounts;
mod catalog;
mod damage;
mod imports;
mod judging;
mod sessions;
mod work;

use crate::store::accounts::{AccountStore, UserRow};
use crate::store::catalog::{
    AgentStore, ConnectionStore, ImportStore, ScenarioStore, SettingStore,
};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use app::domain::{SpaceId, Timestamp, UserId};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The stores of people and of what they write, with two users in them.
struct House {
    accounts: Arc<dyn AccountStore>,
    connections: Arc<dyn ConnectionStore>,
    agents: Arc<dyn AgentStore>,
    scenarios: Arc<dyn ScenarioStore>,
    imports: Arc<dyn ImportStore>,
    settings: Arc<dyn SettingStore>,
    _folder: Option<tempfile::TempDir>,
}

/// Spaces of the two users.
const ANNA: SpaceId = SpaceId(Uuid::from_u128(101));
const BEN: SpaceId = SpaceId(Uuid::from_u128(102));

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

fn person(n: u128, email: &str) -> UserRow {
    UserRow {
        id: UserId(Uuid::from_u128(n)),
        space_id: SpaceId(Uuid::from_u128(100 + n)),
        email: email.into(),
        password_hash: format!("hash of {n}"),
        created_at: at(0),
    }
}

async fn open_sqlite() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("test.db")).await.expect("opens");
    (folder, store)
}

async fn sqlite() -> House {
    let (folder, store) = open_sqlite().await;
    let store = Arc::new(store);
    let house = House {
        accounts: store.clone(),
        connections: store.clone(),
        agents: store.clone(),
        scenarios: store.clone(),
        imports: store.clone(),
        settings: store,
        _folder: Some(folder),
    };
    move_in(house).await
}

async fn memory() -> House {
    let store = Arc::new(MemoryStore::default());
    let house = House {
        accounts: store.clone(),
        connections: store.clone(),
        agents: store.clone(),
        scenarios: store.clone(),
        imports: store.clone(),
        settings: store,
        _folder: None,
    };
    move_in(house).await
}

async fn move_in(house: House) -> House {
    house.accounts.create_user(&person(1, "anna@example.org"), true).await.expect("the first");
    house.accounts.create_user(&person(2, "ben@example.org"), false).await.expect("the second");
    house
}

/// Tells each story to both stores, which `sqlite` and `memory` in its place open.
macro_rules! told_to_both {
    ($($story:ident),* $(,)?) => {
        mod in_sqlite {
            $(#[tokio::test] async fn $story() {
                super::$story(super::sqlite().await).await;
            })*
        }
        mod in_memory {
            $(#[tokio::test] async fn $story() {
                super::$story(super::memory().await).await;
            })*
        }
    };
}
use told_to_both;

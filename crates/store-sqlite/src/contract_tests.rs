//! The contract suite over SQLite.

use crate::testing::open;
use store::accounts::AccountStore;
use store::contract::queue::QueueFixture;
use store::contract::{CatalogFixture, person};

async fn empty_catalog() -> CatalogFixture {
    let (folder, store) = open().await;
    CatalogFixture::new(store, folder)
}

async fn queue_with_users() -> QueueFixture {
    let (folder, store) = open().await;
    for (n, email) in [(1, "anna@example.org"), (2, "ben@example.org")] {
        store.create_user(&person(n, email), false).await.expect("a user");
    }
    QueueFixture::new(store, folder)
}

mod catalog {
    store::catalog_contract!(super::empty_catalog);
}

mod queue {
    store::queue_contract!(super::queue_with_users);
}

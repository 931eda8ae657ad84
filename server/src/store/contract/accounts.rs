//! Stories about users and tokens.

use super::{ANNA, House, at, memory, person, sqlite, told_to_both};
use crate::store::StoreError;
use crate::store::accounts::NOTE_USE_EVERY;
use app::domain::{ApiToken, TokenId, UserId};
use uuid::Uuid;

told_to_both! {
    an_address_belongs_to_one_user,
    only_the_first_may_come,
    two_firsts_at_once_are_one,
    a_user_is_found_by_address_and_id,
    a_token_leads_to_its_user_and_notes_its_use,
    tokens_are_their_users,
}

fn token(n: u128, seconds: u64) -> ApiToken {
    ApiToken {
        id: TokenId(Uuid::from_u128(n)),
        name: format!("token {n}"),
        created_at: at(seconds),
        last_used_at: None,
    }
}

async fn an_address_belongs_to_one_user(house: House) {
    let again = house.accounts.create_user(&person(3, "Anna@Example.org"), false).await;
    assert!(matches!(again, Err(StoreError::Duplicate("email"))), "{again:?}");
    assert_eq!(house.accounts.count_users().await.unwrap(), 2);
}

async fn only_the_first_may_come(house: House) {
    let late = house.accounts.create_user(&person(3, "cleo@example.org"), true).await;
    assert!(matches!(late, Err(StoreError::Duplicate("first"))), "{late:?}");
    assert!(house.accounts.user_by_email("cleo@example.org").await.unwrap().is_none());
}

/// The look and the insert are one step: on an empty store exactly one of
/// many at once becomes the first.
async fn two_firsts_at_once_are_one(house: House) {
    // The house is lived in, so a fresh one of the same kind is made.
    let fresh = if house._folder.is_some() {
        let (folder, store) = super::open_sqlite().await;
        let store: std::sync::Arc<dyn crate::store::accounts::AccountStore> =
            std::sync::Arc::new(store);
        (Some(folder), store)
    } else {
        let store: std::sync::Arc<dyn crate::store::accounts::AccountStore> =
            std::sync::Arc::new(crate::store::memory::MemoryStore::default());
        (None, store)
    };
    let tries = (1..=8).map(|n| {
        let store = fresh.1.clone();
        async move { store.create_user(&person(n, &format!("{n}@example.org")), true).await.is_ok() }
    });
    let made = futures::future::join_all(tries).await.into_iter().filter(|ok| *ok).count();
    assert_eq!((made, fresh.1.count_users().await.unwrap()), (1, 1));
}

async fn a_user_is_found_by_address_and_id(house: House) {
    let anna = house.accounts.user_by_email("ANNA@example.org").await.unwrap().unwrap();
    assert_eq!((anna.space_id, anna.email.as_str()), (ANNA, "anna@example.org"));
    assert_eq!(house.accounts.user(anna.id).await.unwrap(), Some(anna));
    assert_eq!(house.accounts.user(UserId(Uuid::from_u128(9))).await.unwrap(), None);
    assert_eq!(house.accounts.user_by_email("nobody@example.org").await.unwrap(), None);
}

async fn a_token_leads_to_its_user_and_notes_its_use(house: House) {
    let anna = UserId(Uuid::from_u128(1));
    house.accounts.create_token(anna, &token(7, 0), b"hash").await.unwrap();
    assert_eq!(house.accounts.tokens(anna).await.unwrap(), [token(7, 0)]);
    assert!(house.accounts.user_by_token(b"other", at(1)).await.unwrap().is_none());

    let noted = async || house.accounts.tokens(anna).await.unwrap()[0].last_used_at;
    let used = house.accounts.user_by_token(b"hash", at(10)).await.unwrap().unwrap();
    assert_eq!((used.id, noted().await), (anna, Some(at(10))));
    let every = NOTE_USE_EVERY.as_secs();
    house.accounts.user_by_token(b"hash", at(10 + every - 1)).await.unwrap();
    assert_eq!(noted().await, Some(at(10)), "not noted again within five minutes");
    house.accounts.user_by_token(b"hash", at(10 + every)).await.unwrap();
    assert_eq!(noted().await, Some(at(10 + every)));
}

async fn tokens_are_their_users(house: House) {
    let (anna, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    house.accounts.create_token(anna, &token(7, 0), b"one").await.unwrap();
    house.accounts.create_token(anna, &token(8, 5), b"two").await.unwrap();
    assert_eq!(house.accounts.tokens(anna).await.unwrap(), [token(8, 5), token(7, 0)]);
    assert_eq!(house.accounts.tokens(ben).await.unwrap(), []);
    assert!(!house.accounts.delete_token(ben, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(house.accounts.delete_token(anna, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(!house.accounts.delete_token(anna, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(house.accounts.user_by_token(b"one", at(9)).await.unwrap().is_none());
    assert!(house.accounts.user_by_token(b"two", at(9)).await.unwrap().is_some());
}

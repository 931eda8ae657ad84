//! Users and tokens.

use super::{ANNA, CatalogFixture, at, person};
use crate::StoreError;
use crate::accounts::LAST_USED_UPDATE_INTERVAL;
use domain::{ApiToken, TokenId, UserId};
use uuid::Uuid;

fn token(n: u128, seconds: u64) -> ApiToken {
    ApiToken {
        id: TokenId(Uuid::from_u128(n)),
        name: format!("token {n}"),
        created_at: at(seconds),
        last_used_at: None,
    }
}

pub async fn email_is_unique_ignoring_case(f: CatalogFixture) {
    let again = f.accounts.create_user(&person(3, "Anna@Example.org"), false).await;
    assert!(matches!(again, Err(StoreError::Duplicate("email"))), "{again:?}");
    assert_eq!(f.accounts.count_users().await.unwrap(), 2);
}

pub async fn only_first_user_is_created_when_required(f: CatalogFixture) {
    let refused = f.accounts.create_user(&person(3, "cleo@example.org"), true).await;
    assert!(matches!(refused, Err(StoreError::Duplicate("first"))), "{refused:?}");
    assert!(f.accounts.user_by_email("cleo@example.org").await.unwrap().is_none());
}

/// Check and insert are one transaction.
pub async fn concurrent_first_users_create_one_account(f: CatalogFixture) {
    let attempts = (1..=8).map(|n| {
        let store = f.accounts.clone();
        async move { store.create_user(&person(n, &format!("{n}@example.org")), true).await.is_ok() }
    });
    let created = futures::future::join_all(attempts).await.into_iter().filter(|ok| *ok).count();
    assert_eq!((created, f.accounts.count_users().await.unwrap()), (1, 1));
}

pub async fn user_is_found_by_email_and_id(f: CatalogFixture) {
    let anna = f.accounts.user_by_email("ANNA@example.org").await.unwrap().unwrap();
    assert_eq!((anna.space_id, anna.email.as_str()), (ANNA, "anna@example.org"));
    assert_eq!(f.accounts.user(anna.id).await.unwrap(), Some(anna));
    assert_eq!(f.accounts.user(UserId(Uuid::from_u128(9))).await.unwrap(), None);
    assert_eq!(f.accounts.user_by_email("nobody@example.org").await.unwrap(), None);
}

pub async fn token_use_is_recorded_every_five_minutes(f: CatalogFixture) {
    let anna = UserId(Uuid::from_u128(1));
    f.accounts.create_token(anna, &token(7, 0), b"hash").await.unwrap();
    assert_eq!(f.accounts.tokens(anna).await.unwrap(), [token(7, 0)]);
    assert!(f.accounts.user_by_token(b"other", at(1)).await.unwrap().is_none());

    let last_used = async || f.accounts.tokens(anna).await.unwrap()[0].last_used_at;
    let used = f.accounts.user_by_token(b"hash", at(10)).await.unwrap().unwrap();
    assert_eq!((used.id, last_used().await), (anna, Some(at(10))));
    let every = LAST_USED_UPDATE_INTERVAL.as_secs();
    f.accounts.user_by_token(b"hash", at(10 + every - 1)).await.unwrap();
    assert_eq!(last_used().await, Some(at(10)), "not updated within five minutes");
    f.accounts.user_by_token(b"hash", at(10 + every)).await.unwrap();
    assert_eq!(last_used().await, Some(at(10 + every)));
}

pub async fn tokens_belong_to_their_user(f: CatalogFixture) {
    let (anna, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    f.accounts.create_token(anna, &token(7, 0), b"one").await.unwrap();
    f.accounts.create_token(anna, &token(8, 5), b"two").await.unwrap();
    assert_eq!(f.accounts.tokens(anna).await.unwrap(), [token(8, 5), token(7, 0)]);
    assert_eq!(f.accounts.tokens(ben).await.unwrap(), []);
    assert!(!f.accounts.delete_token(ben, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(f.accounts.delete_token(anna, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(!f.accounts.delete_token(anna, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(f.accounts.user_by_token(b"one", at(9)).await.unwrap().is_none());
    assert!(f.accounts.user_by_token(b"two", at(9)).await.unwrap().is_some());
}

//! Users and tokens.

use super::{ANNA, CatalogFixture, at, person};
use crate::StoreError;
use crate::accounts::LAST_USED_UPDATE_INTERVAL;
use domain::{ApiToken, Timestamp, TokenId, UserId};
use uuid::Uuid;

fn token(n: u128, seconds: u64) -> ApiToken {
    ApiToken {
        id: TokenId(Uuid::from_u128(n)),
        name: format!("token {n}"),
        created_at: at(seconds),
        last_used_at: None,
        expires_at: None,
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
    f.accounts.create_token(anna, &token(7, 0), b"hash", 9).await.unwrap();
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
    f.accounts.create_token(anna, &token(7, 0), b"one", 9).await.unwrap();
    f.accounts.create_token(anna, &token(8, 5), b"two", 9).await.unwrap();
    assert_eq!(f.accounts.tokens(anna).await.unwrap(), [token(8, 5), token(7, 0)]);
    assert_eq!(f.accounts.tokens(ben).await.unwrap(), []);
    assert!(!f.accounts.delete_token(ben, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(f.accounts.delete_token(anna, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(!f.accounts.delete_token(anna, TokenId(Uuid::from_u128(7))).await.unwrap());
    assert!(f.accounts.user_by_token(b"one", at(9)).await.unwrap().is_none());
    assert!(f.accounts.user_by_token(b"two", at(9)).await.unwrap().is_some());
}

pub async fn expired_token_is_not_accepted(f: CatalogFixture) {
    let anna = UserId(Uuid::from_u128(1));
    let expiring = ApiToken { expires_at: Some(at(100)), ..token(7, 0) };
    f.accounts.create_token(anna, &expiring, b"expires", 9).await.unwrap();
    f.accounts.create_token(anna, &token(8, 0), b"old", 9).await.unwrap();
    let accepted =
        async |hash, seconds| f.accounts.user_by_token(hash, at(seconds)).await.unwrap().is_some();
    assert!(accepted(b"expires".as_slice(), 99).await);
    assert!(!accepted(b"expires".as_slice(), 100).await);
    assert!(accepted(b"old".as_slice(), 1_000_000_000).await, "created before tokens expired");
    let listed = f.accounts.tokens(anna).await.unwrap();
    assert!(listed.iter().any(|token| token.expires_at == Some(at(100))), "{listed:?}");
}

pub async fn number_of_tokens_is_limited(f: CatalogFixture) {
    let (anna, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let attempts = (0..6_u8).map(|n| {
        let store = f.accounts.clone();
        async move { store.create_token(anna, &token(10 + u128::from(n), 0), &[n], 3).await }
    });
    let results = futures::future::join_all(attempts).await;
    let created = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(created, 3, "also when they are created at once");
    let refused = results.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(refused, StoreError::QuotaExceeded { max: 3, .. }), "{refused:?}");
    f.accounts.create_token(ben, &token(20, 0), b"ben", 3).await.unwrap();
}

pub async fn new_password_ends_sessions(f: CatalogFixture) {
    let (anna, nobody) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(9)));
    assert!(f.accounts.set_password(anna, "a new hash", at(50)).await.unwrap());
    assert!(!f.accounts.set_password(nobody, "a new hash", at(50)).await.unwrap());
    let user = f.accounts.user(anna).await.unwrap().unwrap();
    assert_eq!((user.password_hash.as_str(), user.sessions_valid_from), ("a new hash", at(50)));
    f.accounts.end_sessions(anna, at(60)).await.unwrap();
    let user = f.accounts.user(anna).await.unwrap().unwrap();
    assert_eq!((user.password_hash.as_str(), user.sessions_valid_from), ("a new hash", at(60)));
    let ben = f.accounts.user(UserId(Uuid::from_u128(2))).await.unwrap().unwrap();
    assert_eq!(ben.sessions_valid_from, Timestamp(0));
}

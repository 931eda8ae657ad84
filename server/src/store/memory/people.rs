//! Users and tokens in memory.

use super::{MemoryStore, Token};
use crate::store::accounts::{AccountStore, NOTE_USE_EVERY, UserRow};
use crate::store::{StoreError, Stored};
use app::domain::{ApiToken, Timestamp, TokenId, UserId};
use async_trait::async_trait;
use std::cmp::Reverse;

#[async_trait]
impl AccountStore for MemoryStore {
    async fn create_user(&self, user: &UserRow, only_first: bool) -> Stored<()> {
        let people = &mut self.state.lock().people;
        if only_first && !people.users.is_empty() {
            return Err(StoreError::Duplicate("first"));
        }
        let email = user.email.to_lowercase();
        if people.users.values().any(|other| other.email == email) {
            return Err(StoreError::Duplicate("email"));
        }
        people.users.insert(user.id, UserRow { email, ..user.clone() });
        Ok(())
    }

    async fn count_users(&self) -> Stored<u32> {
        Ok(u32::try_from(self.state.lock().people.users.len()).unwrap_or(u32::MAX))
    }

    async fn user_by_email(&self, email: &str) -> Stored<Option<UserRow>> {
        let email = email.to_lowercase();
        Ok(self.state.lock().people.users.values().find(|user| user.email == email).cloned())
    }

    async fn first_user(&self) -> Stored<Option<UserRow>> {
        let state = self.state.lock();
        let first = state.people.users.values().min_by_key(|user| (user.created_at, user.id));
        Ok(first.cloned())
    }

    async fn user(&self, id: UserId) -> Stored<Option<UserRow>> {
        Ok(self.state.lock().people.users.get(&id).cloned())
    }

    async fn create_token(&self, user: UserId, token: &ApiToken, hash: &[u8]) -> Stored<()> {
        let tokens = &mut self.state.lock().people.tokens;
        if tokens.values().any(|other| other.hash == hash) {
            return Err(StoreError::Duplicate("token"));
        }
        tokens.insert(token.id, Token { user, hash: hash.to_vec(), listed: token.clone() });
        Ok(())
    }

    async fn tokens(&self, user: UserId) -> Stored<Vec<ApiToken>> {
        let state = self.state.lock();
        let own = state.people.tokens.values().filter(|token| token.user == user);
        let mut listed: Vec<_> = own.map(|token| token.listed.clone()).collect();
        listed.sort_by_key(|token| Reverse((token.created_at, token.id)));
        Ok(listed)
    }

    async fn user_by_token(&self, hash: &[u8], now: Timestamp) -> Stored<Option<UserRow>> {
        let people = &mut self.state.lock().people;
        let Some(token) = people.tokens.values_mut().find(|token| token.hash == hash) else {
            return Ok(None);
        };
        let noted = token.listed.last_used_at;
        if noted.is_none_or(|noted| now.since(noted) >= NOTE_USE_EVERY) {
            token.listed.last_used_at = Some(now);
        }
        Ok(people.users.get(&token.user).cloned())
    }

    async fn delete_token(&self, user: UserId, id: TokenId) -> Stored<bool> {
        let tokens = &mut self.state.lock().people.tokens;
        let own = tokens.get(&id).is_some_and(|token| token.user == user);
        Ok(own && tokens.remove(&id).is_some())
    }
}

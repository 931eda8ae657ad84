//! Accounts and API tokens.

use super::{Accounts, SignUp};
use crate::account_log::{AccountEvent, log_event};
use crate::errors::{StoreResultExt, app_error, internal, reject_if_any};
use crate::secrets::{PasswordError, new_token, password_problem, token_hash};
use async_trait::async_trait;
use domain::error::{AppError, ErrorCode};
use domain::services::{AccountService, AppResult, AuthMethod, Caller};
use domain::{
    ApiToken, BrowserSession, NewToken, NewTokenId, Problem, Problems, Timestamp, TokenId,
    TokenRequest, UserId, is_blank, limits,
};
use std::time::Duration;
use store::StoreError;
use store::accounts::UserRow;

/// The maximum length of an email address in bytes (RFC 5321).
const MAX_EMAIL: usize = 254;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Normalizes an email address: trimmed, in lower case. Rejects what cannot be an
/// address; whether it exists is not checked.
fn email_of(text: &str, problems: &mut Problems) -> String {
    let email = text.trim().to_lowercase();
    let sides = email
        .split_once('@')
        .filter(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    let is_forbidden = |c: char| c.is_whitespace() || c.is_control();
    if sides.is_none() || email.contains(is_forbidden) || is_blank(&email) {
        problems.push(Problem::new("email", "must be an address like name@example.org"));
    } else if email.len() > MAX_EMAIL {
        let message = format!("must have at most {MAX_EMAIL} characters");
        problems.push(Problem::new("email", message));
    }
    email
}

fn closed() -> AppError {
    AppError::conflict("Sign-up is closed on this server. Ask its operator for an account.")
}

/// Refuses what a stolen token must not be able to do: to outlive its own deletion.
fn reject_token(caller: &Caller, detail: &str) -> AppResult<()> {
    match caller.auth {
        AuthMethod::Password => Ok(()),
        AuthMethod::Token => Err(AppError::new(ErrorCode::Forbidden, detail)),
    }
}

fn password_error(error: &PasswordError, doing: &str) -> AppError {
    match error {
        PasswordError::Busy => {
            let detail = "Many people are signing in at this moment, so your password was not \
                          checked. Please try again in a second.";
            AppError { retry_after: Some(1), ..AppError::new(ErrorCode::Unavailable, detail) }
        }
        PasswordError::Internal(_) => internal(error, doing),
    }
}

#[async_trait]
impl AccountService for Accounts {
    fn hold_new_token(&self, caller: &Caller, secret: &str) -> NewTokenId {
        let id = NewTokenId::from(self.clock.uuid());
        self.new_tokens.insert(id, caller.space_id, secret, self.clock.now());
        id
    }

    fn take_new_token(&self, caller: &Caller, id: NewTokenId) -> Option<String> {
        self.new_tokens.take(id, caller.space_id, self.clock.now())
    }

    async fn sign_up_open(&self) -> AppResult<bool> {
        Ok(match self.sign_up {
            SignUp::Open => true,
            SignUp::Closed => false,
            SignUp::First => self.store.count_users().await.or_app_error()? == 0,
        })
    }

    async fn sign_up(&self, email: &str, password: &str) -> AppResult<Caller> {
        if !self.sign_up_open().await? {
            return Err(closed());
        }
        let caller = self.insert_user(email, password, self.sign_up == SignUp::First).await?;
        log_event(AccountEvent::SignedUp, Some(caller.user_id), None);
        Ok(caller)
    }

    async fn sign_in(&self, email: &str, password: &str) -> AppResult<Caller> {
        let user = self.store.user_by_email(email.trim()).await.or_app_error()?;
        let actor = user.as_ref().map(|user| user.id);
        let Some(user) = self.with_password(user, password).await? else {
            log_event(AccountEvent::SignInFailed, actor, None);
            let detail = "No account has this email address and password.";
            return Err(AppError::new(ErrorCode::Unauthenticated, detail));
        };
        log_event(AccountEvent::SignedIn, actor, None);
        Ok(user.caller())
    }

    async fn caller_of_token(&self, token: &str) -> AppResult<Caller> {
        let unknown = || {
            let detail = "This token is not valid. Create a new one on the settings page.";
            AppError::new(ErrorCode::Unauthenticated, detail)
        };
        let user = match token_hash(token) {
            Some(hash) => self.store.user_by_token(&hash, self.clock.now()).await.or_app_error()?,
            None => None,
        };
        let Some(user) = user else {
            log_event(AccountEvent::TokenRejected, None, None);
            return Err(unknown());
        };
        Ok(Caller { auth: AuthMethod::Token, ..user.caller() })
    }

    async fn caller_of_session(&self, user: UserId, signed_in_at: Timestamp) -> AppResult<Caller> {
        let user = self.store.user(user).await.or_app_error()?;
        let valid = user.filter(|user| signed_in_at >= user.sessions_valid_from);
        valid.map(|user| user.caller()).ok_or_else(AppError::unauthenticated)
    }

    async fn change_password(&self, caller: &Caller, current: &str, new: &str) -> AppResult<()> {
        reject_token(caller, "The password cannot be changed with an API token.")?;
        let known = self.store.user(caller.user_id).await.or_app_error()?;
        if self.with_password(known, current).await?.is_none() {
            log_event(AccountEvent::PasswordChangeFailed, Some(caller.user_id), None);
            return Err(AppError::problem("current_password", "is not your current password"));
        }
        if current == new {
            return Err(AppError::problem("new_password", "must differ from the current one"));
        }
        self.set_password(caller.user_id, "new_password", new).await?;
        log_event(AccountEvent::PasswordChanged, Some(caller.user_id), None);
        Ok(())
    }

    async fn sessions(&self, caller: &Caller) -> AppResult<Vec<BrowserSession>> {
        self.store.sessions(caller.user_id, self.clock.now()).await.or_app_error()
    }

    async fn end_session(&self, caller: &Caller, id: &str) -> AppResult<()> {
        reject_token(caller, "Sessions cannot be ended with an API token.")?;
        if !self.store.end_session(caller.user_id, id).await.or_app_error()? {
            return Err(AppError::not_found("session"));
        }
        log_event(AccountEvent::SessionEnded, Some(caller.user_id), None);
        Ok(())
    }

    async fn log_throttled_sign_in(&self, email: &str) {
        // The event is logged without its actor if the store cannot name it.
        let user = self.store.user_by_email(email.trim()).await.ok().flatten();
        log_event(AccountEvent::SignInThrottled, user.map(|user| user.id), None);
    }

    async fn end_sessions(&self, caller: &Caller) -> AppResult<()> {
        reject_token(caller, "Sessions cannot be ended with an API token.")?;
        self.store.end_sessions(caller.user_id, self.clock.now()).await.or_app_error()?;
        log_event(AccountEvent::SessionsEnded, Some(caller.user_id), None);
        Ok(())
    }

    async fn tokens(&self, caller: &Caller) -> AppResult<Vec<ApiToken>> {
        Ok(self.store.tokens(caller.user_id).await.or_app_error()?)
    }

    async fn create_token(&self, caller: &Caller, request: &TokenRequest) -> AppResult<NewToken> {
        let why = "Tokens cannot be created with an API token. Sign in, and create it on the \
                   settings page.";
        reject_token(caller, why)?;
        let name = request.name.trim();
        if is_blank(name) {
            return Err(AppError::problem("name", "must not be empty"));
        }
        if name.chars().count() > limits::NAME || name.chars().any(char::is_control) {
            let message = format!("must be at most {} characters on one line", limits::NAME);
            return Err(AppError::problem("name", message));
        }
        if !(1..=limits::TOKEN_MAX_DAYS).contains(&request.expires_in_days) {
            let message = format!("must be from 1 to {}", limits::TOKEN_MAX_DAYS);
            return Err(AppError::problem("expires_in_days", message));
        }
        let (token, hash) = new_token();
        let now = self.clock.now();
        let listed = ApiToken {
            id: self.clock.uuid().into(),
            name: name.to_owned(),
            created_at: now,
            last_used_at: None,
            expires_at: Some(now.plus(DAY * request.expires_in_days)),
        };
        let (user, max) = (caller.user_id, limits::TOKENS_PER_USER);
        self.store.create_token(user, &listed, &hash, max).await.or_app_error()?;
        log_event(AccountEvent::TokenCreated, Some(user), Some(listed.id.0));
        Ok(NewToken { listed, token })
    }

    async fn delete_token(&self, caller: &Caller, id: TokenId) -> AppResult<()> {
        let deleted = self.store.delete_token(caller.user_id, id).await.or_app_error()?;
        if !deleted {
            return Err(AppError::not_found("token"));
        }
        log_event(AccountEvent::TokenDeleted, Some(caller.user_id), Some(id.0));
        Ok(())
    }
}

impl Accounts {
    /// Creates an account even if sign-up is closed. For the command line.
    pub async fn create_user(&self, email: &str, password: &str) -> AppResult<Caller> {
        self.insert_user(email, password, false).await
    }

    /// Replaces a forgotten password and ends all sessions of the user. For the command
    /// line.
    pub async fn reset_password(&self, email: &str, new: &str) -> AppResult<Caller> {
        let caller = self.caller_of_email(email).await?;
        self.set_password(caller.user_id, "password", new).await?;
        log_event(AccountEvent::PasswordReset, Some(caller.user_id), None);
        Ok(caller)
    }

    /// The user, if the password is right. Takes as long without a user.
    async fn with_password(
        &self,
        user: Option<UserRow>,
        password: &str,
    ) -> AppResult<Option<UserRow>> {
        let stored = user.as_ref().map(|user| user.password_hash.as_str());
        let matches = self.passwords.verify(password, stored).await;
        let matches = matches.map_err(|error| password_error(&error, "check a password"))?;
        Ok(user.filter(|_| matches))
    }

    /// Checks and stores a new password, which came in `field`, and ends all sessions.
    async fn set_password(&self, user: UserId, field: &str, new: &str) -> AppResult<()> {
        if let Some(problem) = password_problem(new) {
            return Err(AppError::problem(field, problem));
        }
        let hashed = self.passwords.hash(new).await;
        let hashed = hashed.map_err(|error| password_error(&error, "hash a password"))?;
        let known = self.store.set_password(user, &hashed, self.clock.now()).await;
        if known.or_app_error()? { Ok(()) } else { Err(AppError::not_found("user")) }
    }

    async fn insert_user(
        &self,
        email: &str,
        password: &str,
        only_first: bool,
    ) -> AppResult<Caller> {
        let mut problems = Problems::new();
        let email = email_of(email, &mut problems);
        if let Some(problem) = password_problem(password) {
            problems.push(Problem::new("password", problem));
        }
        reject_if_any(problems)?;
        let hashed = self.passwords.hash(password).await;
        let user = UserRow {
            id: self.clock.uuid().into(),
            space_id: self.clock.uuid().into(),
            email,
            password_hash: hashed.map_err(|error| password_error(&error, "hash a password"))?,
            created_at: self.clock.now(),
            sessions_valid_from: Timestamp(0),
        };
        match self.store.create_user(&user, only_first).await {
            Ok(()) => Ok(user.caller()),
            Err(StoreError::Duplicate("email")) => {
                Err(AppError::problem("email", "has an account already; sign in instead"))
            }
            Err(StoreError::Duplicate("first")) => Err(closed()),
            Err(other) => Err(app_error(other)),
        }
    }

    /// The user with this email address. For the command line.
    pub async fn caller_of_email(&self, email: &str) -> AppResult<Caller> {
        let user = self.store.user_by_email(email.trim()).await.or_app_error()?;
        user.map(|user| user.caller()).ok_or_else(|| AppError::not_found("user"))
    }

    /// The only account, for commands without `--email`.
    pub async fn only_caller(&self) -> AppResult<Caller> {
        if self.store.count_users().await.or_app_error()? > 1 {
            return Err(AppError::problem("--email", "must be given: there are several accounts"));
        }
        let user = self.store.first_user().await.or_app_error()?;
        let none =
            "There is no account yet. Sign up in the browser, or use `rehearsal user create`.";
        user.map(|user| user.caller()).ok_or_else(|| AppError::conflict(none))
    }

    /// Creates a token for the user with this email address. For the command line.
    pub async fn create_token_for(
        &self,
        email: &str,
        request: &TokenRequest,
    ) -> AppResult<NewToken> {
        let caller = self.caller_of_email(email).await?;
        self.create_token(&caller, request).await
    }
}

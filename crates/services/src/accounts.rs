//! Accounts and API tokens.

use super::{Accounts, SignUp};
use crate::errors::{StoreResultExt, app_error, internal, reject_if_any};
use crate::secrets::{new_token, password_problem, token_hash};
use async_trait::async_trait;
use domain::error::{AppError, ErrorCode};
use domain::services::{AccountService, AppResult, Caller};
use domain::{ApiToken, DraftId, NewToken, Problem, Problems, TokenId, UserId, is_blank, limits};
use store::StoreError;
use store::accounts::UserRow;

/// The maximum length of an email address in bytes (RFC 5321).
const MAX_EMAIL: usize = 254;

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

#[async_trait]
impl AccountService for Accounts {
    fn hold_new_token(&self, caller: &Caller, secret: &str) -> DraftId {
        let id = DraftId::from(self.clock.uuid());
        self.new_tokens.insert(id, caller.space_id, secret, self.clock.now());
        id
    }

    fn take_new_token(&self, caller: &Caller, id: DraftId) -> Option<String> {
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
        self.insert_user(email, password, self.sign_up == SignUp::First).await
    }

    async fn sign_in(&self, email: &str, password: &str) -> AppResult<Caller> {
        let user = self.store.user_by_email(email.trim()).await.or_app_error()?;
        let stored = user.as_ref().map(|user| user.password_hash.as_str());
        let matches = self.passwords.verify(password, stored).await;
        let matches = matches.map_err(|error| internal(&error, "check a password"))?;
        user.filter(|_| matches).map(|user| user.caller()).ok_or_else(|| {
            let detail = "No account has this email address and password.";
            AppError::new(ErrorCode::Unauthenticated, detail)
        })
    }

    async fn caller_of_token(&self, token: &str) -> AppResult<Caller> {
        let unknown = || {
            let detail = "This token is not valid. Create a new one on the settings page.";
            AppError::new(ErrorCode::Unauthenticated, detail)
        };
        let hash = token_hash(token).ok_or_else(unknown)?;
        let user = self.store.user_by_token(&hash, self.clock.now()).await.or_app_error()?;
        user.map(|user| user.caller()).ok_or_else(unknown)
    }

    async fn caller_of_user(&self, user: UserId) -> AppResult<Caller> {
        let user = self.store.user(user).await.or_app_error()?;
        user.map(|user| user.caller()).ok_or_else(AppError::unauthenticated)
    }

    async fn tokens(&self, caller: &Caller) -> AppResult<Vec<ApiToken>> {
        Ok(self.store.tokens(caller.user_id).await.or_app_error()?)
    }

    async fn create_token(&self, caller: &Caller, name: &str) -> AppResult<NewToken> {
        let name = name.trim();
        if is_blank(name) {
            return Err(AppError::problem("name", "must not be empty"));
        }
        if name.chars().count() > limits::NAME || name.chars().any(char::is_control) {
            let message = format!("must be at most {} characters on one line", limits::NAME);
            return Err(AppError::problem("name", message));
        }
        let (token, hash) = new_token();
        let listed = ApiToken {
            id: self.clock.uuid().into(),
            name: name.to_owned(),
            created_at: self.clock.now(),
            last_used_at: None,
        };
        self.store.create_token(caller.user_id, &listed, &hash).await.or_app_error()?;
        Ok(NewToken { listed, token })
    }

    async fn delete_token(&self, caller: &Caller, id: TokenId) -> AppResult<()> {
        let deleted = self.store.delete_token(caller.user_id, id).await.or_app_error()?;
        if deleted { Ok(()) } else { Err(AppError::not_found("token")) }
    }
}

impl Accounts {
    /// Creates an account even if sign-up is closed. For the command line.
    pub async fn create_user(&self, email: &str, password: &str) -> AppResult<Caller> {
        self.insert_user(email, password, false).await
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
            password_hash: hashed.map_err(|error| internal(&error, "hash a password"))?,
            created_at: self.clock.now(),
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
    pub async fn create_token_for(&self, email: &str, name: &str) -> AppResult<NewToken> {
        let caller = self.caller_of_email(email).await?;
        self.create_token(&caller, name).await
    }
}

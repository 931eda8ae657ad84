//! One log line for each event that matters for the security of an account. The lines
//! contain ids, never an email address, a name or a secret.

use domain::UserId;
use uuid::Uuid;

/// What happened; the names are stable, because operators search for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountEvent {
    SignedUp,
    SignedIn,
    SignInFailed,
    SignInThrottled,
    SignedOut,
    SessionEnded,
    SessionsEnded,
    PasswordChanged,
    PasswordChangeFailed,
    PasswordReset,
    TokenCreated,
    TokenDeleted,
    TokenRejected,
    ConnectionCreated,
    ConnectionChanged,
    ConnectionDeleted,
    AgentDeleted,
    ScenarioDeleted,
    ProfileDeleted,
}

impl AccountEvent {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedUp => "signed_up",
            Self::SignedIn => "signed_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SignInThrottled => "sign_in_throttled",
            Self::SignedOut => "signed_out",
            Self::SessionEnded => "session_ended",
            Self::SessionsEnded => "sessions_ended",
            Self::PasswordChanged => "password_changed",
            Self::PasswordChangeFailed => "password_change_failed",
            Self::PasswordReset => "password_reset",
            Self::TokenCreated => "token_created",
            Self::TokenDeleted => "token_deleted",
            Self::TokenRejected => "token_rejected",
            Self::ConnectionCreated => "connection_created",
            Self::ConnectionChanged => "connection_changed",
            Self::ConnectionDeleted => "connection_deleted",
            Self::AgentDeleted => "agent_deleted",
            Self::ScenarioDeleted => "scenario_deleted",
            Self::ProfileDeleted => "profile_deleted",
        }
    }
}

/// Logs an event with the user who caused it and the address of the client. `object` is
/// the id of the token, connection, agent or scenario.
pub fn log_event(event: AccountEvent, actor: Option<UserId>, object: Option<Uuid>) {
    let event = event.as_str();
    let actor = actor.map_or_else(|| "unknown".to_owned(), |user| user.to_string());
    let client = telemetry::request::client();
    let client = client.map_or_else(|| "local".to_owned(), |address| address.to_string());
    match object {
        Some(object) => tracing::info!(event, actor, client, %object, "account event"),
        None => tracing::info!(event, actor, client, "account event"),
    }
}

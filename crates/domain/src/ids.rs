//! Typed ids: UUIDv7 on the wire and in the database, so that rows sort by
//! the time of their making and one kind cannot be passed for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text.trim()).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A person with an account.
    UserId,
    /// Who owns a thing; today each user has one personal space.
    SpaceId,
    /// How a model is reached.
    ConnectionId,
    /// What is under test.
    AgentId,
    /// One conversation to have.
    ScenarioId,
    /// The runs that one start made.
    SuiteId,
    /// One scenario, one agent, one repetition.
    RunId,
    /// One judging of one transcript.
    EvaluationId,
    /// A token for programs.
    TokenId,
    /// Rejected form input, kept so that nothing typed is lost.
    DraftId,
}

//! What is the matter with the connections that runs would use, told before
//! anything starts: what stops the start, and what only holds it up.

use super::{Look, Reached, Suites, none_of};
use crate::store::rows::{Frozen, ModelRef};
use app::backend::{Answer, Caller};
use app::domain::{ConnectionTrouble, Problem};

impl Suites {
    /// What is the matter with the connections that runs would use.
    pub(super) async fn troubles(
        &self,
        caller: &Caller,
        frozen: &Frozen,
    ) -> Vec<ConnectionTrouble> {
        let roles = [
            ("agent.connection_id", &frozen.agent),
            ("judge.connection_id", &frozen.judge),
            ("simulated_user.connection_id", &frozen.simulated_user),
        ];
        let mut troubles: Vec<ConnectionTrouble> = Vec::new();
        let mut seen: Vec<&ModelRef> = Vec::new();
        for (path, model) in roles {
            let stops = |known: &ConnectionTrouble| {
                known.stops && known.connection_id == model.connection_id
            };
            if seen.contains(&model) || troubles.iter().any(stops) {
                continue;
            }
            seen.push(model);
            let Some(trouble) = self.trouble(caller, path, model).await else { continue };
            // Of one connection one thing is told once, whatever the model.
            let told = |known: &ConnectionTrouble| {
                known.connection_id == trouble.connection_id && known.message == trouble.message
            };
            if !troubles.iter().any(told) {
                troubles.push(trouble);
            }
        }
        troubles
    }

    /// What is the matter with the connection of a model.
    async fn trouble(
        &self,
        caller: &Caller,
        path: &str,
        model: &ModelRef,
    ) -> Option<ConnectionTrouble> {
        let Look { name, reached } = self.reach.look(caller, model).await;
        let (message, stops, until) = match reached {
            Reached::Yes => return None,
            Reached::Troubled { message, until } => (message, false, until),
            Reached::Not(message) => (message, true, None),
        };
        let (path, connection_id) = (path.to_owned(), model.connection_id);
        Some(ConnectionTrouble { path, connection_id, name, message, stops, until })
    }

    /// Whether this judge can be used at all.
    pub(super) async fn judge_is_there(&self, caller: &Caller, judge: &ModelRef) -> Answer<()> {
        let found: Vec<_> =
            self.trouble(caller, "judge.connection_id", judge).await.into_iter().collect();
        refused_for(stopping(&found).collect(), &found)
    }
}

/// 422 with what stands against a start, and with where to mend a connection.
pub(super) fn refused_for(problems: Vec<Problem>, troubles: &[ConnectionTrouble]) -> Answer<()> {
    none_of(problems).map_err(|error| {
        match troubles.iter().find(|trouble| trouble.stops && !trouble.name.is_empty()) {
            Some(one) => error.with_link(format!("/settings/connections/{}", one.connection_id)),
            None => error,
        }
    })
}

/// Those that stop a start, as problems of it.
pub(super) fn stopping(troubles: &[ConnectionTrouble]) -> impl Iterator<Item = Problem> {
    let stopping = troubles.iter().filter(|trouble| trouble.stops);
    stopping.map(|trouble| Problem::new(trouble.path.clone(), trouble.message.clone()))
}

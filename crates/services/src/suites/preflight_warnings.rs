//! What is the matter with the connections that runs would use, told before
//! anything starts: what stops the start, and what only holds it up.

use super::{Look, Reached, Suites, none_of};
use domain::services::{AppResult, Caller};
use domain::{ConnectionId, ConnectionTrouble, Problem};
use store::rows::{Frozen, ModelRef};

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
        // Roles may share a connection: it is dialled once.
        let mut looked: Vec<(ConnectionId, Look)> = Vec::new();
        for (path, model) in roles {
            let id = model.connection_id;
            if !looked.iter().any(|(known, _)| *known == id) {
                looked.push((id, self.reach.look(caller, id).await));
            }
            let look = looked.iter().find(|(known, _)| *known == id).map(|(_, look)| look);
            let Some(trouble) = look.and_then(|look| self.trouble(caller, path, model, look))
            else {
                continue;
            };
            // Of one connection one thing is told once, whatever the model.
            let told = |known: &ConnectionTrouble| {
                known.connection_id == id && (known.stops || known.message == trouble.message)
            };
            if !troubles.iter().any(told) {
                troubles.push(trouble);
            }
        }
        troubles
    }

    /// What is the matter with the connection of a model.
    fn trouble(
        &self,
        caller: &Caller,
        path: &str,
        model: &ModelRef,
        look: &Look,
    ) -> Option<ConnectionTrouble> {
        let reached = match &look.reached {
            Reached::Yes => self.reach.circuit(caller, model),
            found => found.clone(),
        };
        let (message, stops, until) = match reached {
            Reached::Yes => return None,
            Reached::Troubled { message, until } => (message, false, until),
            Reached::Not(message) => (message, true, None),
        };
        let (path, name) = (path.to_owned(), look.name.clone());
        let connection_id = model.connection_id;
        Some(ConnectionTrouble { path, connection_id, name, message, stops, until })
    }

    /// Whether this judge can be used at all.
    pub(super) async fn judge_is_there(&self, caller: &Caller, judge: &ModelRef) -> AppResult<()> {
        let look = self.reach.look(caller, judge.connection_id).await;
        let found: Vec<_> =
            self.trouble(caller, "judge.connection_id", judge, &look).into_iter().collect();
        refused_for(stopping(&found).collect(), &found)
    }
}

/// 422 with what stands against a start, and with where to mend a connection.
pub(super) fn refused_for(problems: Vec<Problem>, troubles: &[ConnectionTrouble]) -> AppResult<()> {
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

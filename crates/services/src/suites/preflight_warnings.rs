//! Problems of the connections that a start would use: those that prevent the
//! start, and those that only delay its runs.

use super::Suites;
use crate::connection_check::{CheckedConnection, Usability};
use crate::errors::reject_if_any;
use domain::services::{AppResult, Caller};
use domain::{ConnectionId, ConnectionKind, ConnectionWarning, Problem};
use store::rows::{ModelRef, ModelSnapshot};

impl Suites {
    /// The problems of the connections that runs would use.
    pub(super) async fn warnings(
        &self,
        caller: &Caller,
        model_snapshot: &ModelSnapshot,
    ) -> Vec<ConnectionWarning> {
        let roles = [
            ("agent.connection_id", &model_snapshot.agent),
            ("judge.connection_id", &*model_snapshot.judge),
            ("simulated_user.connection_id", &*model_snapshot.simulated_user),
        ];
        let mut warnings: Vec<ConnectionWarning> = Vec::new();
        // Roles may share a connection; each connection is dialed once.
        let mut checked: Vec<(ConnectionId, CheckedConnection)> = Vec::new();
        for (path, model) in roles {
            let id = model.connection_id;
            if !checked.iter().any(|(known, _)| *known == id) {
                checked.push((id, self.catalog.check_connection(caller, id).await));
            }
            let found = checked.iter().find(|(known, _)| *known == id).map(|(_, found)| found);
            let Some(warning) = found.and_then(|found| self.warning(caller, path, model, found))
            else {
                continue;
            };
            // The same problem of a connection is reported once, whatever the model.
            let reported = |known: &ConnectionWarning| {
                known.connection_id == id
                    && (known.prevents_start || known.message == warning.message)
            };
            if !warnings.iter().any(reported) {
                warnings.push(warning);
            }
        }
        warnings
    }

    /// The problem of the connection of a model, if there is one.
    fn warning(
        &self,
        caller: &Caller,
        path: &str,
        model: &ModelRef,
        found: &CheckedConnection,
    ) -> Option<ConnectionWarning> {
        let judges_or_simulates = path != "agent.connection_id";
        let usability = match &found.usability {
            _ if judges_or_simulates && found.kind == Some(ConnectionKind::HttpAgent) => {
                let message = "leads to a deployed agent, which cannot judge or simulate a user; choose a model under Settings → Models";
                Usability::Unusable(message.to_owned())
            }
            Usability::Ready => self.catalog.check_circuit(caller, model),
            other => other.clone(),
        };
        let (message, prevents_start, until) = match usability {
            Usability::Ready => return None,
            Usability::Degraded { message, until } => (message, false, until),
            Usability::Unusable(message) => (message, true, None),
        };
        let (path, name) = (path.to_owned(), found.name.clone());
        let connection_id = model.connection_id;
        Some(ConnectionWarning { path, connection_id, name, message, prevents_start, until })
    }

    /// Fails if this judge cannot be used.
    pub(super) async fn check_judge(&self, caller: &Caller, judge: &ModelRef) -> AppResult<()> {
        let checked = self.catalog.check_connection(caller, judge.connection_id).await;
        let warnings: Vec<_> =
            self.warning(caller, "judge.connection_id", judge, &checked).into_iter().collect();
        reject_start(start_problems(&warnings).collect(), &warnings)
    }
}

/// Fails with 422 if there are problems, with a link to the connection to fix.
pub(super) fn reject_start(
    problems: Vec<Problem>,
    warnings: &[ConnectionWarning],
) -> AppResult<()> {
    reject_if_any(problems).map_err(|error| {
        match warnings.iter().find(|warning| warning.prevents_start && !warning.name.is_empty()) {
            Some(one) => error.with_link(format!("/settings/connections/{}", one.connection_id)),
            None => error,
        }
    })
}

/// The problems that prevent a start.
pub(super) fn start_problems(warnings: &[ConnectionWarning]) -> impl Iterator<Item = Problem> {
    let start_problems = warnings.iter().filter(|warning| warning.prevents_start);
    start_problems.map(|warning| Problem::new(warning.path.clone(), warning.message.clone()))
}

//! The test profile of a suite, and the variables that it does not resolve.

use super::Suites;
use crate::errors::StoreResultExt;
use conversation::RunVariables;
use domain::services::{AppResult, Caller};
use domain::variables::Variables;
use domain::{Agent, Problem, Problems, ProfileId, ProfileRef, Scenario, Timestamp, limits};
use store::profiles::ProfileRow;
use store::rows::SuiteRow;

/// The variables with which a suite is started.
#[derive(Default)]
pub(super) struct SuiteVariables {
    /// The time for which the date and time variables stand.
    pub(super) at: Timestamp,
    pub(super) profile: Option<ProfileRef>,
    variables: RunVariables,
    /// Why the profile cannot be used.
    problem: Option<Problem>,
}

impl Suites {
    /// The variables of a start. They stand for the time of the request.
    pub(super) async fn variables(
        &self,
        caller: &Caller,
        profile: Option<ProfileId>,
    ) -> AppResult<SuiteVariables> {
        let at = self.clock.now();
        let Some(id) = profile else { return Ok(self.suite_variables(caller, at, None)) };
        let row = self.catalog.store.profile(caller.space_id, id).await.or_app_error()?;
        let problem = Problem::new("profile", "is not a test profile of yours");
        let problem = row.is_none().then_some(problem);
        Ok(SuiteVariables { problem, ..self.suite_variables(caller, at, row) })
    }

    /// The variables of a re-run: the same revision of the profile and the same time, so
    /// that a conversation that is continued or judged reads as before.
    pub(super) async fn variables_of_rerun(
        &self,
        caller: &Caller,
        parent: &SuiteRow,
    ) -> AppResult<SuiteVariables> {
        let at = parent.variables_at.unwrap_or_else(|| self.clock.now());
        let Some(profile) = &parent.profile else {
            return Ok(self.suite_variables(caller, at, None));
        };
        let store = &self.catalog.store;
        let row = store.profile_revision(caller.space_id, profile.id, profile.revision);
        let row = row.await.or_app_error()?;
        let message = "of this suite is not stored any more";
        let problem = row.is_none().then(|| Problem::new("profile", message));
        Ok(SuiteVariables { problem, ..self.suite_variables(caller, at, row) })
    }

    fn suite_variables(
        &self,
        caller: &Caller,
        at: Timestamp,
        row: Option<ProfileRow>,
    ) -> SuiteVariables {
        let Some(row) = row else {
            let variables = RunVariables::new(at, None, &Default::default());
            return SuiteVariables { at, variables, ..SuiteVariables::default() };
        };
        let (secrets, problem) = match self.catalog.stored_secrets(caller, &row) {
            Ok(secrets) => (secrets, None),
            Err(error) => (Default::default(), Some(Problem::new("profile", error.detail))),
        };
        let variables = RunVariables::new(at, Some(&row.profile.spec), &secrets);
        let (id, revision, name) = (row.profile.id, row.profile.revision, row.profile.spec.name);
        let profile = Some(ProfileRef { id, revision, name });
        SuiteVariables { at, profile, variables, problem }
    }
}

impl SuiteVariables {
    /// A problem for each variable that has no value, with the field of the agent or the
    /// scenario that uses it.
    pub(super) fn problems(&self, agent: &Agent, scenarios: &[Scenario]) -> Problems {
        if let Some(problem) = &self.problem {
            return vec![problem.clone()];
        }
        let mut problems: Problems = self
            .unresolved(|variables| agent.spec.filled(variables).map(drop))
            .into_iter()
            .map(|problem| Problem { path: format!("agent.{}", problem.path), ..problem })
            .collect();
        for scenario in scenarios {
            let found = self.unresolved(|variables| scenario.spec.filled(variables).map(drop));
            problems.extend(found.into_iter().map(|problem| Problem {
                path: format!("scenario.{}", problem.path),
                message: format!("{} (scenario “{}”)", problem.message, scenario.spec.name),
            }));
            if problems.len() > limits::PROBLEMS {
                break;
            }
        }
        problems.truncate(limits::PROBLEMS);
        problems
    }

    /// The problems of one object. A secret value and its placeholder differ in length.
    fn unresolved(&self, fill: impl Fn(&Variables) -> Result<(), Problems>) -> Problems {
        let RunVariables { shown, sent, .. } = &self.variables;
        fill(sent).and_then(|()| fill(shown)).err().unwrap_or_default()
    }
}

//! The variables of a run: filled in into its agent and its scenario when it is claimed.

use super::Shared;
use conversation::RunVariables;
use domain::variables::Variables;
use domain::{AgentSpec, ErrorKind, Problems, ProfileSpec, RunError, ScenarioSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::queue::{StoredProfile, StoredVariables};

/// What a run says and is judged by, with its variables filled in.
pub(super) struct FilledTexts {
    /// With placeholders for secret values.
    pub(super) agent: Arc<AgentSpec>,
    /// With placeholders for secret values.
    pub(super) scenario: Arc<ScenarioSpec>,
    /// With secret values, for mocks and for requests to a deployed agent.
    pub(super) sent_scenario: Arc<ScenarioSpec>,
    pub(super) variables: Arc<RunVariables>,
}

impl Shared {
    /// Fills in the variables with which the suite was started. Without them (a suite of an
    /// older version), the texts are used as they are.
    ///
    /// # Errors
    /// The error with which the run ends.
    pub(super) fn fill_texts(
        &self,
        agent: AgentSpec,
        scenario: ScenarioSpec,
        stored: Option<&StoredVariables>,
    ) -> Result<FilledTexts, RunError> {
        let Some(stored) = stored else {
            let scenario = Arc::new(scenario);
            let (agent, sent_scenario) = (Arc::new(agent), scenario.clone());
            return Ok(FilledTexts { agent, scenario, sent_scenario, variables: Arc::default() });
        };
        let variables = match &stored.profile {
            None => RunVariables::new(stored.at, None, &BTreeMap::new()),
            Some(profile) => {
                let (spec, secrets) = self.read_profile(profile)?;
                RunVariables::new(stored.at, Some(&spec), &secrets)
            }
        };
        let unresolved = |kind, what: &str, problems: Problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let message = format!("A variable of the {what} has no value: {first}.");
            RunError::new(kind, message)
        };
        let fill_scenario = |variables: &Variables| {
            let filled = scenario.filled(variables);
            filled.map_err(|problems| unresolved(ErrorKind::InvalidScenario, "scenario", problems))
        };
        let filled_agent = agent.filled(&variables.shown);
        let agent = filled_agent
            .map_err(|problems| unresolved(ErrorKind::InvalidAgent, "agent", problems))?;
        let shown = Arc::new(fill_scenario(&variables.shown)?);
        let sent = if variables.secrets.is_empty() {
            shown.clone()
        } else {
            Arc::new(fill_scenario(&variables.sent)?)
        };
        Ok(FilledTexts {
            agent: Arc::new(agent),
            scenario: shown,
            sent_scenario: sent,
            variables: Arc::new(variables),
        })
    }

    /// A test profile with its secret values.
    fn read_profile(
        &self,
        stored: &StoredProfile,
    ) -> Result<(ProfileSpec, BTreeMap<String, String>), RunError> {
        // Parsed as it is: a later rule must not end the re-runs of a stored profile.
        let spec = stored.document.clone().and_then(|value| serde_json::from_value(value).ok());
        let spec = spec.ok_or_else(|| {
            let message = "The stored test profile of this suite cannot be read. Start a suite with another one.";
            RunError::new(ErrorKind::Internal, message)
        })?;
        Ok((spec, self.endpoints.profile_secrets(stored)?))
    }
}

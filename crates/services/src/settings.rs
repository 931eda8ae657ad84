//! Settings: the models that judge and that simulate users.

use super::Catalog;
use crate::errors::{StoreResultExt, reject_if_any};
use async_trait::async_trait;
use domain::services::{AppResult, Caller, SettingsService};
use domain::{ConnectionKind, ModelChoice, Problem, Problems, Settings, is_blank, limits};

#[async_trait]
impl SettingsService for Catalog {
    async fn settings(&self, caller: &Caller) -> AppResult<Settings> {
        self.store.settings(caller.space_id).await.or_app_error()
    }

    async fn update_settings(&self, caller: &Caller, settings: &Settings) -> AppResult<Settings> {
        let mut problems = Problems::new();
        let judge = self.choice(caller, "judge", settings.judge.as_ref(), &mut problems).await?;
        let user = settings.simulated_user.as_ref();
        let simulated_user = self.choice(caller, "simulated_user", user, &mut problems).await?;
        reject_if_any(problems)?;
        let settings = Settings { judge, simulated_user };
        self.store.put_settings(caller.space_id, &settings).await.or_app_error()?;
        Ok(settings)
    }
}

impl Catalog {
    /// Validates and trims a model choice; problems are added under `field`. Also
    /// used for the overrides of a start.
    pub(crate) async fn choice(
        &self,
        caller: &Caller,
        field: &str,
        choice: Option<&ModelChoice>,
        problems: &mut Problems,
    ) -> AppResult<Option<ModelChoice>> {
        let Some(choice) = choice else { return Ok(None) };
        let mut problem = |part: &str, message: String| {
            problems.push(Problem::new(format!("{field}.{part}"), message));
        };
        match self.connection_kind(caller, choice.connection_id).await? {
            None => problem("connection_id", "is not one of your connections".into()),
            Some(ConnectionKind::HttpAgent) => {
                problem("connection_id", "leads to a deployed agent, not to a model".into());
            }
            Some(_) => {}
        }
        let model = choice.model.trim().to_owned();
        if is_blank(&model) {
            problem("model", "must not be empty".into());
        } else if model.chars().count() > limits::NAME || model.chars().any(char::is_control) {
            problem("model", format!("must be at most {} characters on one line", limits::NAME));
        }
        Ok(Some(ModelChoice { model, ..choice.clone() }))
    }
}

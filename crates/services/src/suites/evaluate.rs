//! Judging a stored transcript again: a row of its own, which never changes
//! the run.

use crate::errors::StoreResultExt;
use super::Suites;
use super::start::new_key;
use judge::PROMPT_VERSION;
use store::rows::EvaluationRow;
use store::suites::{Created, NewEvaluation};
use domain::backend::{Answer, Caller, Keyed, Started};
use domain::{Evaluation, RunId};
use domain::error::AppError;

impl Suites {
    /// Judges the stored transcript again; no agent call.
    pub async fn evaluate(&self, caller: &Caller, id: RunId, keyed: &Keyed) -> Answer<Started> {
        if let Some(known) = self.replayed(caller, keyed).await? {
            return Ok(known);
        }
        let run = self.suites.run(caller.space_id, id).await.or_app_error()?;
        let run = run.ok_or_else(|| AppError::not_found("run"))?;
        if !run.status.is_final() {
            return Err(AppError::conflict(
                "This run is not finished; it will be judged by itself.",
            ));
        }
        if run.end_reason.is_none() {
            return Err(AppError::conflict(
                "The conversation of this run was not finished, so there is nothing to judge. Run it again.",
            ));
        }
        // The judge of today's settings, else the agent's own model.
        let settings = self.settings.settings(caller.space_id).await.or_app_error()?;
        let judge = settings.judge.map_or(run.frozen.judge.clone(), |choice| {
            store::rows::ModelRef {
                connection_id: choice.connection_id,
                model: choice.model,
            }
        });
        self.judge_is_there(caller, &judge).await?;
        let fresh = self.clock.uuid().into();
        let view = Evaluation::asked(fresh, &judge.model, PROMPT_VERSION, self.clock.now());
        let body = serde_json::to_string(&view).map_err(|error| {
            crate::errors::app_error(store::StoreError::Damaged(error.to_string()))
        })?;
        let row = EvaluationRow::asked_for(&run, judge, view);
        let row = EvaluationRow { user_id: caller.user_id, ..row };
        let new = NewEvaluation { row, key: new_key(keyed, body.clone()) };
        let created = self.suites.create_evaluation(new).await.or_app_error()?;
        self.executor.wake();
        if let Created::AlreadyRunning { .. } = created {
            return Err(AppError::conflict("This run is being judged again already.")
                .with_link(format!("/runs/{id}")));
        }
        self.answer(created, Some(Started { suite_id: run.suite_id, body, replayed: false }))
    }
}

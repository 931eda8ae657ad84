//! Import of agents and scenarios. Every document is checked before the first is
//! saved, and all are saved together or none.

use super::Catalog;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::ConnectionService;
use domain::services::{
    AppResult, Caller, ImportKind, ImportReport, ImportService, ImportedDocument,
};
use domain::{Connection, Draft, Problem, Problems, ScenarioSpec};
use store::catalog::NewDocument;

#[async_trait]
impl ImportService for Catalog {
    async fn import(
        &self,
        caller: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> AppResult<ImportReport> {
        let mut report = ImportReport { dry_run, documents: Vec::new() };
        let mut valid = Vec::new();
        let known = self.connections(caller).await?;
        for document in documents {
            let (kind, checked) = self.checked(caller, &known, document).await?;
            let (name, problems) = match &checked {
                Ok(NewDocument::Agent(_, spec)) => (spec.name.clone(), Vec::new()),
                Ok(NewDocument::Scenario(_, spec)) => (spec.name.clone(), Vec::new()),
                Err((name, problems)) => (name.clone(), problems.clone()),
            };
            report.documents.push(ImportedDocument { kind, name, id: None, problems });
            valid.extend(checked.ok());
        }
        if dry_run {
            return Ok(report);
        }
        let at = |(i, document): (usize, &ImportedDocument)| {
            let place = format!("documents[{i}]");
            let path = move |path: &str| {
                if path.is_empty() { place.clone() } else { format!("{place}.{path}") }
            };
            let found: Vec<_> = document
                .problems
                .iter()
                .map(|p| Problem::new(path(&p.path), p.message.clone()))
                .collect();
            found
        };
        let problems: Problems = report.documents.iter().enumerate().flat_map(at).collect();
        if !problems.is_empty() {
            return Err(AppError::invalid(problems));
        }
        for (document, valid) in report.documents.iter_mut().zip(&valid) {
            document.id = Some(match valid {
                NewDocument::Agent(id, _) => id.0,
                NewDocument::Scenario(id, _) => id.0,
            });
        }
        self.stores
            .imports
            .save_all(caller.space_id, valid, self.clock.now())
            .await
            .or_app_error()?;
        Ok(report)
    }
}

impl Catalog {
    async fn checked(
        &self,
        caller: &Caller,
        known: &[Connection],
        mut document: Draft,
    ) -> AppResult<(ImportKind, Result<NewDocument, (String, Problems)>)> {
        let name = document.text("name");
        let word = document.text("kind");
        let kind = match word.as_str() {
            "agent" => ImportKind::Agent,
            "scenario" | "" => ImportKind::Scenario,
            _ => {
                let problem = Problem::new("kind", "must be one of agent, scenario");
                return Ok((ImportKind::Scenario, Err((name, vec![problem]))));
            }
        };
        let checked = match kind {
            ImportKind::Agent => {
                let unconnected = self.connect(caller, known, &mut document).await?;
                match self.agent_spec(caller, &document).await {
                    Err(error) if error.problems.is_empty() => return Err(error),
                    Err(error) => Err(merge_connection_problem(error.problems, unconnected)),
                    Ok(spec) => match unconnected {
                        Some(problem) => Err(vec![problem]),
                        None => Ok(NewDocument::Agent(self.clock.uuid().into(), Box::new(spec))),
                    },
                }
            }
            ImportKind::Scenario => ScenarioSpec::parse(&document)
                .map(|spec| NewDocument::Scenario(self.clock.uuid().into(), Box::new(spec))),
        };
        Ok((kind, checked.map_err(|problems| (name, problems))))
    }
}

/// Replaces the parser's problems of the connection by the import's problem, which
/// is more specific.
fn merge_connection_problem(mut problems: Problems, unconnected: Option<Problem>) -> Problems {
    if unconnected.is_some() {
        problems.retain(|problem| problem.path != "connection_id");
    }
    problems.extend(unconnected);
    problems
}

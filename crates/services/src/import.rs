//! Import of agents, scenarios and test profiles. Every document is checked before the first is
//! saved, and all are saved together or none.

use super::Catalog;
use super::profiles::profile_spec;
use crate::errors::StoreResultExt;
use async_trait::async_trait;
use domain::error::AppError;
use domain::services::{
    AppResult, Caller, ConnectionService, ImportKind, ImportReport, ImportService, ImportedDocument,
};
use domain::{Connection, Draft, Problem, Problems, ScenarioSpec, limits};
use std::collections::BTreeMap;
use store::catalog::NewDocument;

#[async_trait]
impl ImportService for Catalog {
    async fn import(
        &self,
        caller: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> AppResult<ImportReport> {
        let mut report = ImportReport { dry_run, ..ImportReport::default() };
        let (mut valid, mut listed) = (Vec::new(), 0);
        let known = self.connections(caller).await?;
        for document in documents {
            let (kind, checked) = self.check_document(caller, &known, document).await?;
            let (name, mut problems) = match &checked {
                Ok(NewDocument::Agent(_, spec)) => (spec.name.clone(), Vec::new()),
                Ok(NewDocument::Scenario(_, spec)) => (spec.name.clone(), Vec::new()),
                Ok(NewDocument::Profile(_, new)) => (new.spec.name.clone(), Vec::new()),
                Err((name, problems)) => (name.clone(), problems.clone()),
            };
            valid.extend(checked.ok());
            // A few bytes of a document can have many problems.
            report.problem_count += problems.len();
            problems.truncate(limits::PROBLEMS - listed);
            listed += problems.len();
            report.documents.push(ImportedDocument { kind, name, id: None, problems });
        }
        if dry_run {
            return Ok(report);
        }
        let mut problems = Problems::new();
        for (i, document) in report.documents.iter().enumerate() {
            for Problem { path, message } in &document.problems {
                let dot = if path.is_empty() { "" } else { "." };
                problems.push(Problem::new(format!("documents[{i}]{dot}{path}"), message.clone()));
            }
        }
        if !problems.is_empty() {
            return Err(AppError::invalid_with_count(problems, report.problem_count));
        }
        for (document, valid) in report.documents.iter_mut().zip(&valid) {
            document.id = Some(match valid {
                NewDocument::Agent(id, _) => id.0,
                NewDocument::Scenario(id, _) => id.0,
                NewDocument::Profile(id, _) => id.0,
            });
        }
        let saved = self.store.save_all(caller.space_id, valid, self.clock.now()).await;
        saved.or_app_error().map(|()| report)
    }
}

impl Catalog {
    /// Validates a document of an import. An invalid document yields its name and problems.
    async fn check_document(
        &self,
        caller: &Caller,
        known: &[Connection],
        mut document: Draft,
    ) -> AppResult<(ImportKind, Result<NewDocument, (String, Problems)>)> {
        let name = document.text("name");
        let kind = match document.text("kind").as_str() {
            "agent" => ImportKind::Agent,
            "scenario" | "" => ImportKind::Scenario,
            "profile" => ImportKind::Profile,
            _ => {
                let problem = Problem::new("kind", "must be one of agent, scenario, profile");
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
            ImportKind::Profile => match profile_spec(&document) {
                Err(problems) => Err(problems),
                Ok(spec) => {
                    let id = self.clock.uuid().into();
                    let new = self.new_profile(caller, id, spec, BTreeMap::new())?;
                    Ok(NewDocument::Profile(id, Box::new(new)))
                }
            },
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

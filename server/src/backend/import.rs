//! Importing agents and scenarios: every document is checked before the first
//! one is saved, and they are saved together or not at all.

use super::Rehearsal;
use crate::store::catalog::NewDocument;
use app::backend::{Answer, Caller, ImportKind, ImportReport, ImportedDocument};
use app::domain::{ConnectionKind, Draft, Problem, Problems, ScenarioSpec};
use app::error::AppError;
use serde_json::Value;
use std::collections::BTreeSet;

/// A model's name for agents that come without one: what a stand-in answers to.
const DEMO_MODEL: &str = "demo";

impl Rehearsal {
    /// Saves agents and scenarios, all or none of them; see the port.
    pub async fn import(
        &self,
        caller: &Caller,
        documents: Vec<Draft>,
        dry_run: bool,
    ) -> Answer<ImportReport> {
        let mut report = ImportReport { dry_run, documents: Vec::new() };
        let mut valid = Vec::new();
        for document in documents {
            let (kind, checked) = self.checked(caller, document).await?;
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
        self.stores.imports.save_all(caller.space_id, valid, self.clock.now()).await?;
        Ok(report)
    }

    async fn checked(
        &self,
        caller: &Caller,
        mut document: Draft,
    ) -> Answer<(ImportKind, Result<NewDocument, (String, Problems)>)> {
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
                self.fill_in(caller, &mut document).await?;
                match self.agent_spec(caller, &document).await {
                    Ok(spec) => Ok(NewDocument::Agent(self.clock.uuid().into(), Box::new(spec))),
                    Err(error) if error.problems.is_empty() => return Err(error),
                    Err(error) => Err(error.problems),
                }
            }
            ImportKind::Scenario => ScenarioSpec::parse(&document)
                .map(|spec| NewDocument::Scenario(self.clock.uuid().into(), Box::new(spec))),
        };
        Ok((kind, checked.map_err(|problems| (name, problems))))
    }

    /// Connection and model of an agent that comes without: the caller's
    /// first connection, or the server's.
    async fn fill_in(&self, caller: &Caller, document: &mut Draft) -> Answer<()> {
        let named = !document.text("connection_id").trim().is_empty();
        if named && !document.text("model").trim().is_empty() {
            return Ok(());
        }
        let known = self.connections(caller).await?;
        let Some(first) = known.first() else { return Ok(()) };
        let first_model = match first.kind {
            ConnectionKind::Demo => Some(DEMO_MODEL.to_owned()),
            // Another agent of this connection says which model it offers.
            _ => self.a_model_of(caller, first.id).await?,
        };
        let Value::Object(map) = &mut document.0 else { return Ok(()) };
        if !named {
            map.insert("connection_id".to_owned(), Value::String(first.id.to_string()));
        }
        let blank = map.get("model").and_then(Value::as_str).is_none_or(|m| m.trim().is_empty());
        if let Some(model) = first_model.filter(|_| blank) {
            map.insert("model".to_owned(), Value::String(model));
        }
        Ok(())
    }

    /// An agent of the caller that uses a connection, among their first two hundred.
    pub(super) async fn an_agent_of(
        &self,
        caller: &Caller,
        connection: app::domain::ConnectionId,
    ) -> Answer<Option<app::domain::Agent>> {
        let cursor = app::backend::Cursor { after: None, limit: Some(200) };
        let agents = self.agents(caller, &cursor).await?.items;
        Ok(agents.into_iter().find(|agent| agent.spec.connection_id == connection))
    }

    pub(super) async fn a_model_of(
        &self,
        caller: &Caller,
        connection: app::domain::ConnectionId,
    ) -> Answer<Option<String>> {
        let agents = self.agents(caller, &app::backend::Cursor::default()).await?.items;
        let models: BTreeSet<_> = agents
            .into_iter()
            .filter(|agent| agent.spec.connection_id == connection)
            .map(|agent| agent.spec.model)
            .collect();
        Ok(models.into_iter().next())
    }
}

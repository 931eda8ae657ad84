//! Importing agents and scenarios: every document is checked before the first
//! one is saved.

use super::Rehearsal;
use app::backend::{Answer, Caller, ImportKind, ImportReport, ImportedDocument};
use app::domain::{AgentSpec, ConnectionKind, Draft, Problem, Problems, ScenarioSpec};
use app::error::AppError;
use serde_json::Value;
use std::collections::BTreeSet;

/// A model's name for agents that come without one: what a stand-in answers to.
const DEMO_MODEL: &str = "demo";

enum Valid {
    Agent(Box<AgentSpec>, Draft),
    Scenario(Box<ScenarioSpec>, Draft),
}

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
                Ok(Valid::Agent(spec, _)) => (spec.name.clone(), Vec::new()),
                Ok(Valid::Scenario(spec, _)) => (spec.name.clone(), Vec::new()),
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
        for (document, valid) in report.documents.iter_mut().zip(valid) {
            document.id = Some(match valid {
                Valid::Agent(_, draft) => self.create_agent(caller, &draft).await?.id.0,
                Valid::Scenario(_, draft) => self.create_scenario(caller, &draft).await?.id.0,
            });
        }
        Ok(report)
    }

    async fn checked(
        &self,
        caller: &Caller,
        mut document: Draft,
    ) -> Answer<(ImportKind, Result<Valid, (String, Problems)>)> {
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
                AgentSpec::parse(&document).map(|spec| Valid::Agent(Box::new(spec), document))
            }
            ImportKind::Scenario => {
                ScenarioSpec::parse(&document).map(|spec| Valid::Scenario(Box::new(spec), document))
            }
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

    async fn a_model_of(
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

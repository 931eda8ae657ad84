//! Which connection an imported agent gets: the one it names (`connection_id`,
//! or `connection`: the name under which it is listed), else the first of the
//! caller's and the server's. And its model, where it comes without.

use super::Rehearsal;
use app::backend::{Answer, Caller, Cursor};
use app::domain::{Connection, ConnectionId, ConnectionKind, Draft, Problem};
use serde_json::Value;
use std::collections::BTreeSet;

/// A model's name for agents that come without one: what a stand-in answers to.
const DEMO_MODEL: &str = "demo";
/// The most connections that a sentence lists.
const LISTED: usize = 20;

impl Rehearsal {
    /// Puts connection and model of an imported agent into its document; or
    /// says what is wrong with the connection, and which ones there are.
    pub(super) async fn connect(
        &self,
        caller: &Caller,
        document: &mut Draft,
    ) -> Answer<Option<Problem>> {
        let known = self.connections(caller).await?;
        let (name, id) = (document.text("connection"), document.text("connection_id"));
        if let Value::Object(fields) = &mut document.0 {
            // A word of imports alone: the parser does not know it.
            fields.shift_remove("connection");
        }
        let chosen = match choose(&known, name.trim(), id.trim()) {
            Ok(chosen) => chosen,
            Err(problem) => return Ok(Some(problem)),
        };
        let model = match chosen.kind {
            ConnectionKind::Demo => Some(DEMO_MODEL.to_owned()),
            // Another agent of this connection says which model it offers.
            _ => self.a_model_of(caller, chosen.id).await?,
        };
        let nameless = document.text("model").trim().is_empty();
        let Value::Object(fields) = &mut document.0 else { return Ok(None) };
        fields.insert("connection_id".to_owned(), Value::String(chosen.id.to_string()));
        if let Some(model) = model.filter(|_| nameless) {
            fields.insert("model".to_owned(), Value::String(model));
        }
        Ok(None)
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
        connection: ConnectionId,
    ) -> Answer<Option<String>> {
        let agents = self.agents(caller, &Cursor::default()).await?.items;
        let models: BTreeSet<_> = agents
            .into_iter()
            .filter(|agent| agent.spec.connection_id == connection)
            .map(|agent| agent.spec.model)
            .collect();
        Ok(models.into_iter().next())
    }
}

/// The connection that a name or an id means, each blank where none was given.
fn choose<'a>(known: &'a [Connection], name: &str, id: &str) -> Result<&'a Connection, Problem> {
    let problem =
        |path: &str, what: &str| Problem::new(path, format!("{what}; there {}", there_are(known)));
    match (name, id) {
        ("", "") => known.first().ok_or_else(|| {
            let what = "is missing, and no connection can be taken in its place";
            problem("connection_id", what)
        }),
        ("", id) => {
            let id = id.parse::<ConnectionId>().ok();
            let meant = known.iter().find(|connection| Some(connection.id) == id);
            meant
                .ok_or_else(|| problem("connection_id", "is not the id of one of your connections"))
        }
        (name, "") => {
            let mut meant = known.iter().filter(|connection| connection.name == name);
            match (meant.next(), meant.next()) {
                (Some(connection), None) => Ok(connection),
                (Some(_), Some(_)) => {
                    let what = "is the name of several connections, say which by connection_id";
                    Err(problem("connection", what))
                }
                _ => Err(problem("connection", "is not the name of one of your connections")),
            }
        }
        _ => {
            let what = "must be left out where connection_id names the connection";
            Err(Problem::new("connection", what))
        }
    }
}

/// The connections that may be named, in words that follow "there".
fn there_are(known: &[Connection]) -> String {
    let listed = |one: &Connection| format!("“{}” ({})", one.name, one.id);
    let all: Vec<_> = known.iter().take(LISTED).map(listed).collect();
    match known.len() {
        0 => "are none".to_owned(),
        1 => format!("is {}", all.concat()),
        2..=LISTED => format!("are {}", all.join(", ")),
        more => format!("are {} and {} more", all.join(", "), more - LISTED),
    }
}

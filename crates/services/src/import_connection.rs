//! Selects the connection of an imported agent: the one that it names by
//! `connection_id` or by `connection` (its name), else the first connection of the
//! caller or of the server. Also selects a model if the agent names none.

use super::Catalog;
use domain::services::{AppResult, Caller};
use domain::{Connection, ConnectionId, ConnectionKind, Draft, Problem};
use serde_json::Value;

/// The model of agents that name none and use the demo model.
const DEMO_MODEL: &str = "demo";
/// The maximum number of connections that a message lists.
const LISTED: usize = 20;

impl Catalog {
    /// Adds connection (one of `known`) and model to the document of an imported
    /// agent. Returns a problem with the list of connections if none matches.
    pub(super) async fn connect(
        &self,
        caller: &Caller,
        known: &[Connection],
        document: &mut Draft,
    ) -> AppResult<Option<Problem>> {
        let (name, id) = (document.text("connection"), document.text("connection_id"));
        if let Value::Object(fields) = &mut document.0 {
            // Only imports know this field; the parser does not.
            fields.shift_remove("connection");
        }
        let is_deployed = document.at("http").is_some_and(|http| !http.is_null());
        let fits = |one: &&Connection| (one.kind == ConnectionKind::HttpAgent) == is_deployed;
        let known: Vec<Connection> = known.iter().filter(fits).cloned().collect();
        let chosen = match choose(&known, name.trim(), id.trim()) {
            Ok(chosen) => chosen,
            Err(problem) => return Ok(Some(problem)),
        };
        let model = match chosen.kind {
            _ if !document.text("model").trim().is_empty() => None,
            ConnectionKind::Demo => Some(DEMO_MODEL.to_owned()),
            ConnectionKind::HttpAgent => None,
            // Another agent that uses this connection names one of its models.
            _ => self.model_used_by_agents(caller, chosen.id).await?,
        };
        let Value::Object(fields) = &mut document.0 else { return Ok(None) };
        fields.insert("connection_id".to_owned(), Value::String(chosen.id.to_string()));
        if let Some(model) = model {
            fields.insert("model".to_owned(), Value::String(model));
        }
        Ok(None)
    }
}

/// Finds the connection by name or id; blank means not given.
fn choose<'a>(known: &'a [Connection], name: &str, id: &str) -> Result<&'a Connection, Problem> {
    let problem = |path: &str, what: &str| {
        Problem::new(path, format!("{what}; there {}", list_of_connections(known)))
    };
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

/// Lists the connections, in words that follow "there".
fn list_of_connections(known: &[Connection]) -> String {
    let listed = |one: &Connection| format!("“{}” ({})", one.name, one.id);
    let all: Vec<_> = known.iter().take(LISTED).map(listed).collect();
    match known.len() {
        0 => "are none".to_owned(),
        1 => format!("is {}", all.concat()),
        2..=LISTED => format!("are {}", all.join(", ")),
        more => format!("are {} and {} more", all.join(", "), more - LISTED),
    }
}

//! Which connection an imported agent gets: the one it names (`connection_id`,
//! or `connection`: the name under which it is listed), else the first of the
//! caller's and the server's. And its model, where it comes without.

use super::Catalog;
use domain::services::{AppResult, Caller};
use domain::{Connection, ConnectionId, ConnectionKind, Draft, Problem};
use serde_json::Value;

/// A model's name for agents that come without one: what a stand-in answers to.
const DEMO_MODEL: &str = "demo";
/// The most connections that a sentence lists.
const LISTED: usize = 20;

impl Catalog {
    /// Puts connection (one of those `known`) and model of an imported agent into
    /// its document; or says what is wrong with the connection, and which ones there are.
    pub(super) async fn connect(
        &self,
        caller: &Caller,
        known: &[Connection],
        document: &mut Draft,
    ) -> AppResult<Option<Problem>> {
        let (name, id) = (document.text("connection"), document.text("connection_id"));
        if let Value::Object(fields) = &mut document.0 {
            // A word of imports alone: the parser does not know it.
            fields.shift_remove("connection");
        }
        let chosen = match choose(known, name.trim(), id.trim()) {
            Ok(chosen) => chosen,
            Err(problem) => return Ok(Some(problem)),
        };
        let model = match chosen.kind {
            _ if !document.text("model").trim().is_empty() => None,
            ConnectionKind::Demo => Some(DEMO_MODEL.to_owned()),
            // Another agent of this connection says which model it offers.
            _ => self.a_model_of(caller, chosen.id).await?,
        };
        let Value::Object(fields) = &mut document.0 else { return Ok(None) };
        fields.insert("connection_id".to_owned(), Value::String(chosen.id.to_string()));
        if let Some(model) = model {
            fields.insert("model".to_owned(), Value::String(model));
        }
        Ok(None)
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

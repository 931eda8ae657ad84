//! Built-in scenarios and the demo agent: the front desk of a fictional dental
//! practice, written for this project.
//!
//! Scenarios are keyed by slug, so that an upgrade updates them in place. Some are
//! written so that a careless agent fails them and users can see a failure.

use clock::Clock;
use domain::{AgentSpec, ConnectionId, Draft, Problems, ScenarioSpec};
use serde_json::Value;
use store::catalog::ScenarioStore;

const SCENARIOS: &str = include_str!("scenarios.yaml");
const DEMO_AGENT: &str = include_str!("demo_agent.yaml");

/// Why a built-in document is invalid; tests ensure that none is.
#[derive(Debug, thiserror::Error)]
#[error("built-in {what}: {why}")]
pub struct BuiltInError {
    what: String,
    why: String,
}

fn broken(what: &str, why: impl ToString) -> BuiltInError {
    BuiltInError { what: what.to_owned(), why: why.to_string() }
}

fn listed(problems: &Problems) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A built-in scenario and its stable slug.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltIn {
    pub slug: String,
    pub spec: ScenarioSpec,
}

/// All built-in scenarios.
///
/// # Errors
/// The first invalid document.
pub fn scenarios() -> Result<Vec<BuiltIn>, BuiltInError> {
    let documents: Vec<Value> =
        serde_saphyr::from_str(SCENARIOS).map_err(|error| broken("scenarios", error))?;
    let read = |document: Value| {
        let slug = document.get("slug").and_then(Value::as_str).unwrap_or_default().to_owned();
        if slug.is_empty() {
            return Err(broken("scenarios", "one has no slug"));
        }
        match ScenarioSpec::parse(&Draft(document)) {
            Ok(spec) => Ok(BuiltIn { slug, spec }),
            Err(problems) => Err(broken(&slug, listed(&problems))),
        }
    };
    documents.into_iter().map(read).collect()
}

/// The demo agent with this connection.
///
/// # Errors
/// If the document is invalid.
pub fn demo_agent(connection: ConnectionId) -> Result<AgentSpec, BuiltInError> {
    let mut document: Value =
        serde_saphyr::from_str(DEMO_AGENT).map_err(|error| broken("demo agent", error))?;
    if let Some(map) = document.as_object_mut() {
        map.insert("connection_id".to_owned(), Value::String(connection.to_string()));
    }
    AgentSpec::parse(&Draft(document)).map_err(|problems| broken("demo agent", listed(&problems)))
}

/// Writes all built-in scenarios to the store at boot, by slug. Returns their
/// number.
///
/// # Errors
/// If a document is invalid or the store cannot be written.
pub async fn install(store: &dyn ScenarioStore, clock: &dyn Clock) -> Result<usize, BuiltInError> {
    let all = scenarios()?;
    for built_in in &all {
        let (id, now) = (clock.uuid().into(), clock.now());
        store
            .put_built_in(&built_in.slug, id, &built_in.spec, now)
            .await
            .map_err(|error| broken(&built_in.slug, error))?;
    }
    Ok(all.len())
}

#[cfg(test)]
mod demo_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SystemClock;
    use domain::{Category, END_CONVERSATION, Mode, ScenarioFilter, SpaceId};
    use std::collections::BTreeSet;
    use uuid::Uuid;

    fn connection() -> ConnectionId {
        ConnectionId(Uuid::from_u128(1))
    }

    #[test]
    fn built_in_scenarios_are_valid_and_cover_every_category() {
        let all = scenarios().unwrap();
        assert!((12..=14).contains(&all.len()), "{}", all.len());
        let slugs: BTreeSet<_> = all.iter().map(|one| one.slug.as_str()).collect();
        assert_eq!(slugs.len(), all.len(), "every slug once");
        let names: BTreeSet<_> = all.iter().map(|one| one.spec.name.as_str()).collect();
        assert_eq!(names.len(), all.len(), "every name once");
        let categories: BTreeSet<_> = all.iter().map(|one| one.spec.category).collect();
        assert_eq!(categories.len(), Category::ALL.len());
        let simulated = all.iter().filter(|one| one.spec.mode == Mode::Simulated).count();
        assert_eq!(simulated, 2);
        for one in &all {
            assert!(!one.spec.expected_behaviors.is_empty(), "{}", one.slug);
            assert!(!one.spec.failure_conditions.is_empty(), "{}", one.slug);
            assert!(!one.spec.description.is_empty(), "{}", one.slug);
        }
    }

    /// The demo must start without incompatible scenarios, and every mock must
    /// belong to a tool of the agent.
    #[test]
    fn demo_agent_is_compatible_with_every_scenario() {
        let agent = demo_agent(connection()).unwrap();
        for BuiltIn { slug, spec } in scenarios().unwrap() {
            let required = spec.required_tools.iter().chain(&spec.success_criteria.must_call_tools);
            for tool in required.chain(spec.tool_mocks.iter().map(|mock| &mock.tool)) {
                assert!(agent.has_tool(tool) && tool != END_CONVERSATION, "{slug}: {tool}");
            }
            let category = spec.agent_category.as_deref().unwrap_or(&agent.category);
            assert!(category.eq_ignore_ascii_case(&agent.category), "{slug}: {category}");
        }
    }

    /// The arguments that mocks match must be parameters of the tool.
    #[test]
    fn mock_arguments_exist_in_tool_schema() {
        let agent = demo_agent(connection()).unwrap();
        for BuiltIn { slug, spec } in scenarios().unwrap() {
            for mock in &spec.tool_mocks {
                let tool = agent.tools.iter().find(|tool| tool.name == mock.tool).unwrap();
                for name in mock.when.iter().flat_map(|when| when.keys()) {
                    let known = tool.parameters["properties"].get(name).is_some();
                    assert!(known, "{slug}: {}.{name}", mock.tool);
                }
            }
        }
    }

    #[tokio::test]
    async fn second_install_changes_nothing() {
        let (_folder, store) = store_sqlite::testing::open().await;
        let space = SpaceId(Uuid::from_u128(1));
        let seen = async || {
            let filter = ScenarioFilter { built_in: Some(true), ..ScenarioFilter::default() };
            store.scenarios(space, &filter, None, 200).await.unwrap()
        };
        let count = install(&store, &SystemClock).await.unwrap();
        let first = seen().await;
        assert_eq!(first.len(), count);
        assert!(first.iter().all(|scenario| scenario.revision == 1));
        install(&store, &SystemClock).await.unwrap();
        assert_eq!(seen().await, first);
    }
}

//! Imports of many documents.

use super::catalog::{agent, id};
use super::scenarios::scenario;
use super::{ANNA, BEN, CatalogFixture, at};
use crate::StoreError;
use crate::catalog::NewDocument;
use domain::{AgentId, ScenarioFilter, ScenarioId};

fn both(n: u128) -> Vec<NewDocument> {
    vec![
        NewDocument::Agent(AgentId(id(n)), Box::new(agent("Helper", 1))),
        NewDocument::Scenario(
            ScenarioId(id(n + 1)),
            Box::new(scenario("Refund", "support", "easy", &[])),
        ),
    ]
}

pub async fn import_saves_all_documents(f: CatalogFixture) {
    f.imports.save_all(ANNA, both(1), at(1)).await.unwrap();
    let agent = f.agents.agent(ANNA, AgentId(id(1))).await.unwrap().unwrap();
    let scenario = f.scenarios.scenario(ANNA, ScenarioId(id(2))).await.unwrap().unwrap();
    assert_eq!((agent.revision, agent.spec.name.as_str()), (1, "Helper"));
    assert_eq!((scenario.revision, scenario.spec.name.as_str()), (1, "Refund"));
    assert_eq!(f.agents.agent(BEN, AgentId(id(1))).await.unwrap(), None);
}

pub async fn import_with_duplicate_saves_nothing(f: CatalogFixture) {
    f.imports.save_all(ANNA, both(1), at(1)).await.unwrap();
    let mut more = both(3);
    more.push(NewDocument::Agent(AgentId(id(1)), Box::new(agent("Again", 1))));
    let refused = f.imports.save_all(ANNA, more, at(2)).await;
    assert!(matches!(refused, Err(StoreError::Duplicate("agent"))), "{refused:?}");
    assert_eq!(f.agents.count_agents(ANNA).await.unwrap(), 1);
    let all = f.scenarios.scenarios(ANNA, &ScenarioFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    let agent = f.agents.agent(ANNA, AgentId(id(1))).await.unwrap().unwrap();
    assert_eq!(agent.spec.name, "Helper");
}

//! Stories about saving many documents at once.

use super::catalog::{agent, id, scenario};
use super::{ANNA, BEN, House, at, memory, sqlite, told_to_both};
use crate::store::StoreError;
use crate::store::catalog::NewDocument;
use app::domain::{AgentId, ScenarioFilter, ScenarioId};

told_to_both! {
    all_are_saved_together,
    of_many_with_one_that_is_there_none_is_saved,
}

fn both(n: u128) -> Vec<NewDocument> {
    vec![
        NewDocument::Agent(AgentId(id(n)), Box::new(agent("Desk", 1))),
        NewDocument::Scenario(
            ScenarioId(id(n + 1)),
            Box::new(scenario("Refund", "support", "easy", &[])),
        ),
    ]
}

async fn all_are_saved_together(house: House) {
    house.imports.save_all(ANNA, both(1), at(1)).await.unwrap();
    let agent = house.agents.agent(ANNA, AgentId(id(1))).await.unwrap().unwrap();
    let scenario = house.scenarios.scenario(ANNA, ScenarioId(id(2))).await.unwrap().unwrap();
    assert_eq!((agent.revision, agent.spec.name.as_str()), (1, "Desk"));
    assert_eq!((scenario.revision, scenario.spec.name.as_str()), (1, "Refund"));
    assert_eq!(house.agents.agent(BEN, AgentId(id(1))).await.unwrap(), None);
}

async fn of_many_with_one_that_is_there_none_is_saved(house: House) {
    house.imports.save_all(ANNA, both(1), at(1)).await.unwrap();
    let mut more = both(3);
    more.push(NewDocument::Agent(AgentId(id(1)), Box::new(agent("Again", 1))));
    let refused = house.imports.save_all(ANNA, more, at(2)).await;
    assert!(matches!(refused, Err(StoreError::Duplicate("agent"))), "{refused:?}");
    assert_eq!(house.agents.count_agents(ANNA).await.unwrap(), 1);
    let all = house.scenarios.scenarios(ANNA, &ScenarioFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    let agent = house.agents.agent(ANNA, AgentId(id(1))).await.unwrap().unwrap();
    assert_eq!(agent.spec.name, "Desk");
}

//! Objects of another user are not found, exactly like objects that do not exist,
//! and nothing of them changes.

use super::{agent, connection, fixture, paths, scenario, status, unknown_id};
use domain::ScenarioFilter;
use domain::services::Cursor;
use domain::services::{
    AccountService, AgentService, ConnectionService, ProfileService, ScenarioService,
};

#[tokio::test]
async fn foreign_objects_are_not_found() {
    let fixture = fixture().await;
    let (it, anna, ben) = (&fixture.catalog, &fixture.anna, &fixture.ben);
    let wire = fixture.connect(anna, "sk-1234567890").await;
    let desk = it.create_agent(anna, &agent("Desk", wire)).await.unwrap();
    let bus = it.create_scenario(anna, &scenario("Late bus")).await.unwrap();
    let profile = domain::Draft(serde_json::json!({"name": "Lena"}));
    let lena = it.create_profile(anna, &profile).await.unwrap();
    let token = fixture.accounts.create_token(anna, &super::accounts::token("CI")).await.unwrap();

    for (wire_id, desk_id, bus_id, lena_id, token_id) in [
        (wire, desk.id, bus.id, lena.id, token.listed.id),
        (
            unknown_id().into(),
            unknown_id().into(),
            unknown_id().into(),
            unknown_id().into(),
            unknown_id().into(),
        ),
    ] {
        assert_eq!(status(it.profile(ben, lena_id).await), 404);
        assert_eq!(status(it.update_profile(ben, lena_id, 1, &profile).await), 404);
        // 404 takes precedence over an invalid draft.
        assert_eq!(
            status(it.update_profile(ben, lena_id, 1, &domain::Draft::default()).await),
            404
        );
        assert_eq!(status(it.delete_profile(ben, lena_id).await), 404);

        let draft = connection("Stolen", "https://models.example.org/v1", "");
        assert_eq!(status(it.connection(ben, wire_id).await), 404);
        assert_eq!(status(it.update_connection(ben, wire_id, &draft).await), 404);
        assert_eq!(status(it.delete_connection(ben, wire_id).await), 404);
        assert_eq!(status(it.test_connection(ben, wire_id, None).await), 404);
        assert_eq!(paths(it.create_agent(ben, &agent("Desk", wire_id)).await), ["connection_id"]);

        let draft = agent("Stolen", fixture.server_wide);
        assert_eq!(status(it.agent(ben, desk_id).await), 404);
        assert_eq!(status(it.agent_revisions(ben, desk_id).await), 404);
        assert_eq!(status(it.update_agent(ben, desk_id, 1, &draft).await), 404);
        assert_eq!(status(it.update_agent(ben, desk_id, 9, &draft).await), 404);
        // 404 takes precedence over an invalid draft.
        assert_eq!(status(it.update_agent(ben, desk_id, 1, &scenario("x")).await), 404);
        assert_eq!(status(it.delete_agent(ben, desk_id).await), 404);
        assert_eq!(status(it.duplicate_agent(ben, desk_id).await), 404);

        assert_eq!(status(it.scenario(ben, bus_id).await), 404);
        assert_eq!(status(it.scenario_revisions(ben, bus_id).await), 404);
        assert_eq!(status(it.update_scenario(ben, bus_id, 1, &scenario("Stolen")).await), 404);
        assert_eq!(status(it.update_scenario(ben, bus_id, 9, &scenario("Stolen")).await), 404);
        assert_eq!(status(it.delete_scenario(ben, bus_id).await), 404);
        assert_eq!(status(it.duplicate_scenario(ben, bus_id).await), 404);

        assert_eq!(status(fixture.accounts.delete_token(ben, token_id).await), 404);
    }

    assert_eq!(it.profiles(ben).await.unwrap(), []);
    assert_eq!(it.profiles(anna).await.unwrap(), [lena]);
    assert_eq!(it.agents(ben, &Cursor::default()).await.unwrap().items, []);
    let own = ScenarioFilter { built_in: Some(false), ..ScenarioFilter::default() };
    assert_eq!(it.scenarios(ben, &own, &Cursor::default()).await.unwrap().items, []);
    assert_eq!(fixture.accounts.tokens(ben).await.unwrap(), []);
    assert!(it.connections(ben).await.unwrap().iter().all(|one| one.server_wide));

    assert_eq!(it.agent(anna, desk.id).await.unwrap(), desk);
    assert_eq!(it.scenario(anna, bus.id).await.unwrap(), bus);
    assert_eq!(it.connection(anna, wire).await.unwrap().name, "Mine");
    let by_token = fixture.accounts.caller_of_token(&token.token).await.unwrap();
    assert_eq!((by_token.user_id, by_token.space_id), (anna.user_id, anna.space_id));
}

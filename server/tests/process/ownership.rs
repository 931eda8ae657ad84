//! Every route responds 404 to resources of other users, as to missing resources,
//! and does not change them.

use super::new_server;
use fault_injection::{ApiClient, id};
use mock_provider::Script;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn status(user: &ApiClient, method: &Method, path: &str, body: Option<&Value>) -> StatusCode {
    let mut request = user.request(method.clone(), path);
    if let Some(body) = body {
        request = request.json(body);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn every_route_hides_resources_of_other_users() {
    let provider = mock_provider::start(Script::default()).await.unwrap();
    let server = new_server().started().await;
    let (ada, eve) = (server.create_user("ada@example.org"), server.create_user("eve@example.org"));
    let agent = ada.create_agent("openai", &provider.openai_url()).await;
    let scenario = ada.create_scenario("Private", 1).await;
    let profile = json!({"name": "Private", "variables": [{"name": "a", "value": "b"}]});
    let profile = ada.create("/profiles", &profile).await;
    let profile_id = id(&profile);
    let start = json!({"agent_id": agent["id"], "scenario_ids": [scenario["id"]],
        "profile": profile_id});
    let suite = ada.create("/suites", &start).await;
    let suite = ada.wait_for_suite(&id(&suite)).await;
    let run = suite["runs"][0]["id"].as_str().unwrap().to_owned();
    let token = ada.get("/tokens").await["items"][0].clone();
    let (agent_id, scenario_id, suite_id) = (id(&agent), id(&scenario), id(&suite));
    let connection_id = agent["connection_id"].as_str().unwrap().to_owned();

    // Every documented route with an id.
    let document = ada.get("/openapi.json").await;
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        if !path.contains('{') {
            continue;
        }
        let target = match path.split('/').nth(1).unwrap() {
            "agents" => &agent_id,
            "scenarios" => &scenario_id,
            "profiles" => &profile_id,
            "connections" => &connection_id,
            "suites" => &suite_id,
            "runs" => &run,
            "tokens" => token["id"].as_str().unwrap(),
            other => panic!("unknown resource /{other}: add it to this test"),
        };
        let named = path.find('{').map(|at| (at, path[at..].find('}').unwrap() + at));
        let (from, to) = named.unwrap();
        let theirs = format!("{}{target}{}", &path[..from], &path[to + 1..]);
        let missing =
            format!("{}01890000-0000-7000-8000-000000000000{}", &path[..from], &path[to + 1..]);
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = body_for(&method, path, &agent, &scenario, &profile);
            let seen = status(&eve, &method, &theirs, body.as_ref()).await;
            assert_eq!(seen, StatusCode::NOT_FOUND, "{method} {theirs}");
            let none = status(&eve, &method, &missing, body.as_ref()).await;
            assert_eq!(none, seen, "{method} {missing}");
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} routes checked");

    // Resources of other users cannot be referenced.
    let mine = eve.create_agent("openai", &provider.openai_url()).await;
    let own = eve.create_scenario("Own", 1).await;
    let requests = [
        json!({"agent_id": agent_id, "scenario_ids": [own["id"]]}),
        json!({"agent_id": mine["id"], "scenario_ids": [scenario_id]}),
        json!({"agent_id": mine["id"], "scenario_ids": [own["id"]], "profile": profile_id}),
    ];
    for body in &requests {
        let answer = eve.post("/suites", body).await.status();
        assert!([404, 422].contains(&answer.as_u16()), "{body}: {answer}");
    }
    let mut over = mine.clone();
    over["connection_id"] = json!(connection_id);
    let path = format!("/agents/{}", id(&mine));
    assert_eq!(
        status(&eve, &Method::PUT, &path, Some(&over)).await,
        StatusCode::UNPROCESSABLE_ENTITY
    );

    // Lists do not show the resources, and the resources are unchanged.
    for list in ["/agents", "/connections", "/suites", "/runs", "/tokens", "/profiles"] {
        let text = eve.get(list).await.to_string();
        for secret in [&agent_id, &scenario_id, &suite_id, &run, &connection_id, &profile_id] {
            assert!(!text.contains(secret.as_str()), "{list} shows {secret}");
        }
    }
    assert_eq!(ada.get(&format!("/agents/{agent_id}")).await, agent);
    assert_eq!(ada.get(&format!("/profiles/{profile_id}")).await, profile);
    assert_eq!(ada.get(&format!("/suites/{suite_id}")).await["status"], "finished");

    // A missing or wrong token gets a 401.
    for token in ["", "rhs_wrong"] {
        let unauthorized = eve.with_token(token);
        assert_eq!(
            status(&unauthorized, &Method::GET, "/agents", None).await,
            StatusCode::UNAUTHORIZED
        );
    }
}

fn body_for(
    method: &Method,
    path: &str,
    agent: &Value,
    scenario: &Value,
    profile: &Value,
) -> Option<Value> {
    match (method.as_str(), path) {
        ("PUT", "/agents/{id}") => Some(agent.clone()),
        ("PUT", "/scenarios/{id}") => Some(scenario.clone()),
        ("PUT", "/profiles/{id}") => Some(profile.clone()),
        ("PUT", "/connections/{id}") => {
            Some(json!({"name": "x", "kind": "openai", "base_url": "http://127.0.0.1:1"}))
        }
        ("PUT", "/connections/{id}/prices") => Some(json!({"prices": []})),
        ("POST", "/suites/{id}/rerun") => Some(json!({"which": "all"})),
        _ => None,
    }
}

//! Test profiles, and the variables that a start resolves with them.

use super::starts::{Fixture, fixture, unkeyed};
use domain::services::{
    AgentService, ImportKind, ImportService, ProfileService, RerunScope, ResultService,
    ScenarioService, SuiteService,
};
use domain::{Draft, ProfileId, ScenarioId, StartSuite, SuiteId};
use rstest::rstest;
use serde_json::{Value, json};
use store::profiles::ProfileRow;

fn profile(variables: Value) -> Draft {
    Draft(json!({"name": "Lena", "time_zone": "Europe/Berlin", "variables": variables}))
}

fn paths(error: &domain::error::AppError) -> Vec<&str> {
    error.problems.iter().map(|problem| problem.path.as_str()).collect()
}

async fn row(fixture: &Fixture, id: ProfileId) -> ProfileRow {
    fixture.catalog.store.profile(fixture.anna.space_id, id).await.unwrap().unwrap()
}

/// A scenario whose user says this.
async fn says(fixture: &Fixture, text: &str) -> ScenarioId {
    let draft = json!({"name": "Says", "category": "support", "expected_behaviors": ["helps"],
        "conversation_flow": [{"speaker": "user", "message": text}]});
    fixture.catalog.create_scenario(&fixture.anna, &Draft(draft)).await.unwrap().id
}

fn request(fixture: &Fixture, scenario: ScenarioId, profile: Option<ProfileId>) -> StartSuite {
    let draft = json!({"agent_id": fixture.agent, "scenario_ids": [scenario], "profile": profile});
    StartSuite::parse(&Draft(draft)).unwrap()
}

#[tokio::test]
async fn secrets_are_encrypted_kept_and_never_returned() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let draft = profile(json!([{"name": "name", "value": "Lena"},
        {"name": "pin", "secret": true, "value": "4711-secret"}, {"name": "later", "secret": true}]));
    let created = it.create_profile(anna, &draft).await.unwrap();
    let seen = serde_json::to_value(&created).unwrap();
    assert_eq!(
        seen["variables"][1],
        json!({"name": "pin", "secret": true, "value": null, "is_set": true})
    );
    assert_eq!(seen["variables"][2]["is_set"], false);
    let stored = row(&fixture, created.id).await;
    assert!(!format!("{stored:?}").contains("4711"), "{stored:?}");
    let sealed = stored.secrets.as_ref().unwrap();
    assert!(!sealed.windows(4).any(|part| part == b"4711"));
    // What was returned can be sent back: the secret stays.
    let saved = it.update_profile(anna, created.id, 1, &Draft(seen)).await.unwrap();
    assert_eq!((saved.revision, &saved.spec), (2, &created.spec));
    let kept = it.stored_secrets(anna, &row(&fixture, created.id).await).unwrap();
    assert_eq!(kept["pin"], "4711-secret");
    // A secret cannot become public without its value; a removed one is gone.
    let public = profile(json!([{"name": "pin"}]));
    let refused = it.update_profile(anna, created.id, 2, &public).await.unwrap_err();
    assert_eq!(paths(&refused), ["variables[0].value"]);
    let without = profile(json!([{"name": "name", "value": "Lena"}]));
    it.update_profile(anna, created.id, 2, &without).await.unwrap();
    assert_eq!(row(&fixture, created.id).await.secrets, None);
}

#[rstest]
#[case("Mars/Phobos", &["time_zone"])]
#[case("Europe/Berlin", &[])]
#[case("  ", &[])]
#[tokio::test]
async fn time_zone_must_be_known(#[case] zone: &str, #[case] expected: &[&str]) {
    let fixture = fixture().await;
    let draft = Draft(json!({"name": "P", "time_zone": zone}));
    let created = fixture.catalog.create_profile(&fixture.anna, &draft).await;
    assert_eq!(created.err().iter().flat_map(paths).collect::<Vec<_>>(), expected);
}

#[rstest]
// what the user says, whether a profile is selected, part of the problem
#[case("{{today}} {{now}}", false, None)]
#[case("\\{{name}}", false, None)]
#[case("{{name}}", true, None)]
#[case("{{pin}}", true, None)]
#[case("{{name}}", false, Some("uses {{name}}, but no test profile is selected (scenario “Says”)"))]
#[case("{{other}}", true, Some("the test profile “Lena” has no such variable"))]
#[case(
    "{{later}}",
    true,
    Some("the secret {{later}}, which has no value in the test profile “Lena” yet")
)]
#[case("{{#if name}}", true, Some("contains {{#if name}}, which is no variable; write \\{{"))]
#[case("{{message}}", true, Some("has no such variable"))]
#[tokio::test]
async fn unresolved_variables_prevent_the_start(
    #[case] text: &str,
    #[case] selects: bool,
    #[case] expected: Option<&str>,
) {
    let fixture = fixture().await;
    let draft = profile(json!([{"name": "name", "value": "Lena"},
        {"name": "pin", "secret": true, "value": "4711"}, {"name": "later", "secret": true}]));
    let profile = fixture.catalog.create_profile(&fixture.anna, &draft).await.unwrap().id;
    let scenario = says(&fixture, text).await;
    let request = request(&fixture, scenario, selects.then_some(profile));
    let preflight = fixture.suites.preflight(&fixture.anna, &request).await.unwrap();
    let started = fixture.suites.start(&fixture.anna, &request, &unkeyed("/suites")).await;
    match expected {
        None => {
            assert_eq!(preflight.problems, []);
            started.expect("everything is resolved");
        }
        Some(words) => {
            let [problem] = preflight.problems.as_slice() else { panic!("{preflight:?}") };
            assert_eq!(problem.path, "scenario.conversation_flow[0].message");
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(started.unwrap_err().problems, preflight.problems);
        }
    }
}

#[tokio::test]
async fn problem_of_the_agent_names_its_field() {
    let fixture = fixture().await;
    let mut agent = fixture.catalog.agent(&fixture.anna, fixture.agent).await.unwrap();
    agent.spec.begin_message = Some("Hello {{nobody}}".into());
    let draft = Draft(serde_json::to_value(&agent).unwrap());
    fixture.catalog.update_agent(&fixture.anna, agent.id, 1, &draft).await.unwrap();
    let request = request(&fixture, fixture.scenario, None);
    let preflight = fixture.suites.preflight(&fixture.anna, &request).await.unwrap();
    assert_eq!(preflight.problems[0].path, "agent.begin_message");
}

#[tokio::test]
async fn unknown_profile_is_a_problem() {
    let fixture = fixture().await;
    let request = request(&fixture, fixture.scenario, Some(ProfileId(uuid::Uuid::nil())));
    let refused = fixture.suites.start(&fixture.anna, &request, &unkeyed("/suites")).await;
    let refused = refused.unwrap_err();
    assert_eq!(paths(&refused), ["profile"]);
    assert!(refused.problems[0].message.contains("is not a test profile of yours"));
}

async fn start(fixture: &Fixture, request: &StartSuite) -> SuiteId {
    let started = fixture.suites.start(&fixture.anna, request, &unkeyed("/suites")).await;
    started.expect("starts").suite_id
}

#[tokio::test]
async fn rerun_uses_the_revision_and_the_time_of_the_suite() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let draft = profile(json!([{"name": "name", "value": "Lena"}]));
    let profile_id = it.create_profile(anna, &draft).await.unwrap().id;
    let scenario = says(&fixture, "{{name}}").await;
    let first = start(&fixture, &request(&fixture, scenario, Some(profile_id))).await;
    fixture.suites.cancel_suite(anna, first).await.unwrap();
    let before = fixture.suites.suite(anna, first).await.unwrap().suite;
    assert_eq!(before.profile.as_ref().map(|profile| profile.revision), Some(1));
    // The variable is renamed, the profile is deleted, and time passes.
    let renamed = profile(json!([{"name": "renamed", "value": "Mia"}]));
    it.update_profile(anna, profile_id, 1, &renamed).await.unwrap();
    it.delete_profile(anna, profile_id).await.unwrap();
    fixture.advance(3600);
    let rerun = fixture.suites.rerun(anna, first, RerunScope::All.into(), &unkeyed("/rerun")).await;
    let again = fixture.suites.suite(anna, rerun.unwrap().suite_id).await.unwrap().suite;
    assert_eq!((&again.profile, again.variables_at), (&before.profile, before.variables_at));
    assert!(again.created_at > before.created_at && before.variables_at.is_some());
    // A scenario that uses another variable since then cannot be run again.
    fixture.suites.cancel_suite(anna, again.id).await.unwrap();
    let draft = json!({"name": "Says", "category": "support", "expected_behaviors": ["helps"],
        "conversation_flow": [{"speaker": "user", "message": "{{renamed}}"}]});
    it.update_scenario(anna, scenario, 1, &Draft(draft)).await.unwrap();
    let refused =
        fixture.suites.rerun(anna, first, RerunScope::All.into(), &unkeyed("/rerun")).await;
    assert_eq!(paths(&refused.unwrap_err()), ["scenario.conversation_flow[0].message"]);
}

#[tokio::test]
async fn profiles_are_imported_with_their_problems() {
    let fixture = fixture().await;
    let (it, anna) = (&fixture.catalog, &fixture.anna);
    let document =
        |variables: Value| Draft(json!({"kind": "profile", "name": "Mia", "variables": variables}));
    let good = document(
        json!([{"name": "a", "value": "1"}, {"name": "pin", "secret": true, "value": "4711"}]),
    );
    let bad = document(json!([{"name": "a b", "value": "1"}]));
    let checked = it.import(anna, vec![good.clone(), bad], true).await.unwrap();
    assert_eq!(checked.documents[0].kind, ImportKind::Profile);
    assert_eq!(checked.documents[1].problems[0].path, "variables[0].name");
    let report = it.import(anna, vec![good], false).await.unwrap();
    let id = ProfileId(report.documents[0].id.unwrap());
    let imported = it.profile(anna, id).await.unwrap();
    assert_eq!((imported.spec.name.as_str(), imported.spec.variables[1].is_set), ("Mia", true));
    assert!(!format!("{imported:?}").contains("4711"));
}

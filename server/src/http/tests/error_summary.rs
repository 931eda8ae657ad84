//! The summary of a form's problems: each links to a field, in the order of the page.

use super::editors::{connection, demo_agent};
use super::real_services::{RealServer, between};
use super::support::{TestRequest, TestResponse};

/// Posts a form and checks that each problem links to a field of the page, from top to
/// bottom. Returns the number of problems.
async fn assert_summary_follows_the_page(
    server: &RealServer,
    cookie: &str,
    page: &str,
    body: &str,
) -> usize {
    let form = page.trim_end_matches("/new");
    let refused = server.post(cookie, page, &format!("/forms{form}"), body).await;
    summary_follows_page(server, cookie, &refused).await
}

/// Checks the page that a refused form redirects to; see [`assert_summary_follows_the_page`].
async fn summary_follows_page(server: &RealServer, cookie: &str, refused: &TestResponse) -> usize {
    let shown = server.page(cookie, refused.location()).await;
    let summary = between(&shown, "id=\"error-summary\"", "</div>");
    let links: Vec<_> = summary
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .collect();
    assert_eq!(links.len(), summary.matches("<li>").count(), "each links to a field: {summary}");
    let place = |id: &&str| shown.find(&format!(" id=\"{id}\"")).unwrap_or_default();
    let places: Vec<_> = links.iter().map(place).collect();
    assert!(places.iter().all(|place| *place > 0), "{links:?} at {places:?}");
    assert!(places.is_sorted(), "{links:?} at {places:?}");
    links.len()
}

#[tokio::test]
async fn error_summary_is_in_the_order_of_the_page() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let long = "x".repeat(33_000);
    let scenario = format!(
        "timeout_seconds=1&max_turns=0&on_unmocked=guess&tool_mocks[0][tool]=&required_tools=a+b&\
         tool_mocks[0][delay_ms]=x&tool_mocks[0][when]=x&tool_mocks[0][result]=x&\
         tool_mocks[0][error]={long}&tool_mocks[1][tool]=&tool_mocks[1][error]=e&\
         agent_category={}&success_criteria[max_response_seconds]=0&success_criteria[min_score]=x&\
         success_criteria[must_call_tools]=a+b&success_criteria[must_not_include]={long}&\
         success_criteria[criteria]={long}&failure_conditions={long}&\
         expected_behaviors[0][text]=&expected_behaviors[0][evidence]=maybe&\
         expected_behaviors[1][text]=&opening_line={long}&known_facts={long}&goal={long}&\
         conversation_flow[0][speaker]=nobody&conversation_flow[0][message]=&\
         conversation_flow[1][speaker]=user&conversation_flow[1][message]=&mode=sung&\
         persona[background]={long}&persona[communication_style]={long}&persona[mood]={long}&\
         persona[name]={long}&is_active=maybe&tags={}&difficulty=brutal&category=sales&\
         description={long}&name=",
        &long[..51],
        &long[..51],
    );
    let count = assert_summary_follows_the_page(&server, &ada, "/scenarios/new", &scenario).await;
    assert!(count >= 36, "{count}");
    let agent = format!(
        "tools[0][parameters]=x&tools[0][description]={long}&tools[0][name]=a+b&tools[1][name]=&\
         max_tokens=0&temperature=3&model=&connection_id=&system_prompt=&description={long}&\
         category={}&name=",
        &long[..51],
    );
    let count = assert_summary_follows_the_page(&server, &ada, "/agents/new", &agent).await;
    assert!(count >= 12, "{count}");
    // The script is hidden in this mode, but has a problem that the page has to show.
    let hidden = format!(
        "name=A&category=booking&mode=simulated&goal=&conversation_flow[0][speaker]=user&\
         conversation_flow[0][message]={long}"
    );
    let count = assert_summary_follows_the_page(&server, &ada, "/scenarios/new", &hidden).await;
    assert_eq!(count, 2);
}

/// The problems of the other forms, which have fewer fields.
#[tokio::test]
async fn error_summary_of_each_small_form_is_in_the_order_of_the_page() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    let long = "x".repeat(2001);
    let invalid_connection =
        format!("headers=no+header&api_key=a%0Ab&base_url=ftp://x{long}&kind=smtp&name=");
    let own = connection(&server, &ada, "name=Demo&kind=demo").await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    let models = format!(
        "simulated_user[model]=m&simulated_user[connection_id]={nobody}&judge[model]=m&\
         judge[connection_id]={nobody}"
    );
    let forms = [
        ("/settings/connections/new", "/forms/connections", invalid_connection.as_str(), 5),
        (own.as_str(), &own.replace("/settings", "/forms"), &invalid_connection, 4),
        ("/settings/tokens", "/forms/tokens", "expires_in_days=0&name=", 2),
        ("/settings/account", "/forms/password", "new_password=short&current_password=wrong", 1),
        ("/settings/models", "/forms/settings", &models, 2),
    ];
    for (page, form, body, problems) in forms {
        let refused = server.post(&ada, page, form, body).await;
        let listed = summary_follows_page(&server, &ada, &refused).await;
        assert!(listed >= problems, "{page}: {listed}");
    }
    let invalid = TestRequest::form("/forms/sign-up", "password=short&email=nobody");
    let refused = server.send(invalid).await;
    assert_eq!(summary_follows_page(&server, "", &refused).await, 2);
}

#[tokio::test]
async fn problems_of_a_start_link_to_its_fields() {
    let server = RealServer::new().await;
    let ada = server.sign_up("ada").await;
    demo_agent(&server, &ada).await;
    let body = "note=&concurrency=65&repeats=99&agent_id=";
    let count = assert_summary_follows_the_page(&server, &ada, "/suites/new", body).await;
    assert_eq!(count, 4);
}

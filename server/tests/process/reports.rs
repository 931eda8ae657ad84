//! Reports of suites as files, from the real binary.

use super::new_server;
use fault_injection::{ApiClient, Setup, id};
use mock_provider::Script;
use reqwest::Method;
use serde_json::{Value, json};

async fn report(user: &ApiClient, suite: &str, extension: &str) -> (String, String) {
    let path = format!("/suites/{suite}/report.{extension}");
    let response = user.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-disposition").contains(&format!("{suite}.{extension}\"")), "{path}");
    (header("content-type"), response.text().await.unwrap())
}

/// A scenario whose rule check fails, because the provider never says the phrase.
async fn create_failing_scenario(user: &ApiClient) -> Value {
    let scenario = json!({"name": "<Fails> & \"says\" =1+1", "category": "support",
        "conversation_flow": [{"speaker": "user", "message": "Hello <b>"}],
        "success_criteria": {"must_include": ["unheard-of phrase"]}});
    user.create("/scenarios", &scenario).await
}

#[tokio::test]
async fn every_format_has_the_results_of_a_suite() {
    let Setup { provider: _provider, server, user, agent } =
        Setup::start(new_server(), Script::default()).await;
    let passing = user.create_scenario("Passes", 2).await;
    let failing = create_failing_scenario(&user).await;
    let incompatible = json!({"name": "Incompatible", "category": "support",
        "required_tools": ["book"],
        "conversation_flow": [{"speaker": "user", "message": "Hello"}]});
    let incompatible = user.create("/scenarios", &incompatible).await;
    let scenarios = [&passing, &failing, &incompatible].map(id);
    let options = json!({"repeats": 2, "skip_incompatible": true});
    let suite = user.start_suite(&agent, &scenarios, options).await;
    user.wait_for_suite(&suite).await;

    let (kind, xml) = report(&user, &suite, "xml").await;
    assert_eq!(kind, "application/xml");
    assert!(xml.contains(r#"tests="6" failures="2" errors="2" time="#), "{xml}");
    assert!(xml.contains("name=\"&lt;Fails&gt; &amp; &quot;says&quot; =1+1 (repeat 2)\""), "{xml}");
    assert!(xml.contains("unheard-of phrase") && xml.contains("type=\"incompatible\""), "{xml}");

    let (kind, csv) = report(&user, &suite, "csv").await;
    assert!(kind.starts_with("text/csv"), "{kind}");
    assert_eq!(csv.lines().count(), 7);

    let (kind, html) = report(&user, &suite, "html").await;
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(html.contains("Passes question 1") && html.contains("Hello &lt;b&gt;"), "{html}");
    let link = format!("http://{}/suites/{suite}", server.addr);
    assert!(html.contains(&link) && html.ends_with("</html>\n"), "{html}");

    let (_, markdown) = report(&user, &suite, "md").await;
    assert!(markdown.contains("2 of 6 passed") && markdown.contains(&link), "{markdown}");
    assert!(markdown.contains("4 of 6 judged; 2 excluded: incompatible"), "{markdown}");

    let (_, json) = report(&user, &suite, "json").await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["is_final"], true);
    assert_eq!(json["statistics"]["outcome"]["pass_rate"], 0.5);
    assert_eq!(json["runs"].as_array().unwrap().len(), 6);
    assert_eq!(json["runs"][0]["transcript"].as_array().unwrap().len(), 4);
    assert_eq!(json["scenarios"][0]["pass_hat_k"], json!([1.0, 1.0]));
}

#[tokio::test]
async fn report_of_a_running_suite_says_that_it_is_not_final() {
    let Setup { provider: _provider, server: _server, user, agent } =
        Setup::start(new_server(), Script { latency_ms: 60_000, ..Script::default() }).await;
    let scenario = user.create_scenario("Slow", 1).await;
    let suite = user.start_suite(&agent, &[id(&scenario)], json!({})).await;
    let (_, html) = report(&user, &suite, "html").await;
    assert!(html.contains("The suite was still running: 0 of 1 runs were finished"), "{html}");
    let (_, xml) = report(&user, &suite, "xml").await;
    assert!(xml.contains("<skipped message=") && xml.contains("\"incomplete\""), "{xml}");
    user.post(&format!("/suites/{suite}/cancel"), &json!({})).await;
    user.wait_for_suite(&suite).await;
    let (_, markdown) = report(&user, &suite, "md").await;
    assert!(markdown.contains("No pass rate") && !markdown.contains("still running"), "{markdown}");
}

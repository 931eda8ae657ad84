//! The malformed bodies in complete runs of the real binary.

use super::malformed_bodies::{Expected, table};
use super::{BOTH, raw_body};
use crate::support::{TIMEOUT, assert_outcomes, new_server, outcome};
use domain::ConnectionKind;
use fault_injection::id;
use mock_provider::{Role, Rule, Script, When};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn malformed_bodies_never_crash_a_run_or_give_a_verdict() {
    let rule = |role, text: String, body: &str| Rule {
        when: When { role: Some(role), contains: Some(text), ..When::default() },
        ..Rule::always(raw_body(body))
    };
    let server = new_server().with_env("REHEARSAL_RUNS_PER_USER", 16).started().await;
    let user = server.create_user("odd@example.org");
    for kind in BOTH {
        // Unreadable bodies are provider errors, which `malformed_bodies` covers.
        let bodies: Vec<_> =
            table(kind).into_iter().filter(|(_, _, read)| *read != Expected::Unreadable).collect();
        let (mut all, mut rules) = (Vec::new(), Vec::new());
        for (i, (_, body, _)) in bodies.iter().enumerate() {
            // Only once: ten thousand tool calls in each of eight rounds are slow.
            let first = rule(Role::Agent, format!("Agent{i} question 0"), body);
            rules.push(Rule { times: Some(1), ..first });
            rules.push(rule(Role::Judge, format!("Judge{i} question 0"), body));
            for name in [format!("Agent{i}"), format!("Judge{i}")] {
                all.push(id(&user.create_scenario(&name, 2).await));
            }
        }
        // The reply to the second request is also malformed.
        let second = rule(Role::Judge, "This reply could not be used.".into(), &bodies[0].1);
        rules.push(second);
        let provider = mock_provider::start(Script::of(rules)).await.unwrap();
        let (protocol, url) = match kind {
            ConnectionKind::OpenAi => ("openai", provider.openai_url()),
            _ => ("anthropic", provider.anthropic_url()),
        };
        let agent = user.create_agent(protocol, &url).await;
        let suite = user.start_suite(&agent, &all, json!({"concurrency": 16})).await;
        let suite = user.wait_for_suite_within(&suite, Duration::from_secs(60)).await;
        let fetched = user.fetch_runs(&suite).await;
        for (run, (name, _, _)) in fetched.iter().zip(bodies.iter().flat_map(|body| [body, body])) {
            let is_judge = run["scenario"]["name"].as_str().unwrap().starts_with("Judge");
            let (end, kind) = (outcome(run), &run["error"]["kind"]);
            assert_ne!(kind, "internal", "{protocol}, {name}: {run:#}");
            if is_judge {
                assert_eq!(end, "error/evaluation_unparseable", "{protocol}, {name}");
                assert!(run["score"].is_null() && run["passed"].is_null());
            } else {
                // The conversation ends normally and is judged.
                assert_eq!(run["end_reason"], "script_finished", "{protocol}, {name}: {end}");
                assert!(["passed", "failed"].contains(&end.as_str()), "{protocol}, {name}: {end}");
            }
        }
    }
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(server.is_ready().await);

    // The server still works.
    let provider = mock_provider::start(Script::default()).await.unwrap();
    let agent = user.create_agent("openai", &provider.openai_url()).await;
    let one = [id(&user.create_scenario("After", 1).await)];
    let suite = user.start_suite(&agent, &one, json!({})).await;
    assert_outcomes(&user.wait_for_suite_within(&suite, TIMEOUT).await, &[("passed", 1)]);
}

//! The same odd answers in the middle of whole runs of the real binary.

use super::bodies::{Read, table};
use super::{BOTH, exactly};
use crate::outside::{SOON, assert_endings, binary, ending, start, whole_runs};
use domain::ConnectionKind;
use serde_json::json;
use fault_injection::house::{House, id};
use mock_provider::{Role, Rule, Script, When};
use std::time::Duration;

#[tokio::test]
async fn no_odd_answer_takes_a_run_or_the_server_down_and_none_is_a_verdict() {
    let in_role = |role, words: String, body: &str| Rule {
        when: When { role: Some(role), contains: Some(words), ..When::default() },
        ..Rule::always(exactly(body))
    };
    let house = House::of(&binary()).with("REHEARSAL_RUNS_PER_USER", 16).started().await;
    let user = house.user("odd@example.org");
    for kind in BOTH {
        // What cannot be read is a failure of the provider, and told above.
        let bodies: Vec<_> =
            table(kind).into_iter().filter(|(_, _, read)| *read != Read::Unreadable).collect();
        let (mut all, mut rules) = (Vec::new(), Vec::new());
        for (i, (_, body, _)) in bodies.iter().enumerate() {
            // Once: ten thousand calls in each of eight rounds take their time.
            let first = in_role(Role::Agent, format!("Agent{i} question 0"), body);
            rules.push(Rule { times: Some(1), ..first });
            rules.push(in_role(Role::Judge, format!("Judge{i} question 0"), body));
            for name in [format!("Agent{i}"), format!("Judge{i}")] {
                all.push(id(&user.scenario(&name, 2).await));
            }
        }
        // Asked once more, they say nothing better.
        let once_more = in_role(Role::Judge, "This reply could not be used.".into(), &bodies[0].1);
        rules.push(once_more);
        let stand = mock_provider::start(Script::of(rules)).await.unwrap();
        let (protocol, url) = match kind {
            ConnectionKind::OpenAi => ("openai", stand.openai_url()),
            _ => ("anthropic", stand.anthropic_url()),
        };
        let agent = user.agent(protocol, &url).await;
        let suite = start(&user, &agent, &all, json!({"concurrency": 16})).await;
        let suite = user.finished_within(&suite, Duration::from_secs(60)).await;
        let whole = whole_runs(&user, &suite).await;
        for (run, (name, _, _)) in whole.iter().zip(bodies.iter().flat_map(|body| [body, body])) {
            let of_judge = run["scenario"]["name"].as_str().unwrap().starts_with("Judge");
            let (end, kind) = (ending(run), &run["error"]["kind"]);
            assert_ne!(kind, "internal", "{protocol}, {name}: {run:#}");
            if of_judge {
                assert_eq!(end, "error/evaluation_unparseable", "{protocol}, {name}");
                assert!(run["score"].is_null() && run["passed"].is_null());
            } else {
                // A conversation that goes on to its end, and is judged.
                assert_eq!(run["end_reason"], "script_finished", "{protocol}, {name}: {end}");
                assert!(["passed", "failed"].contains(&end.as_str()), "{protocol}, {name}: {end}");
            }
        }
    }
    let log = house.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(house.is_ready().await);

    // And it still does its work.
    let stand = mock_provider::start(Script::default()).await.unwrap();
    let agent = user.agent("openai", &stand.openai_url()).await;
    let one = [id(&user.scenario("After", 1).await)];
    let suite = start(&user, &agent, &one, json!({})).await;
    assert_endings(&user.finished_within(&suite, SOON).await, &[("passed", 1)]);
}

use super::{
    Behavior, Category, Difficulty, Draft, EvidenceRule, Mode, OnUnmocked, ScenarioSpec, Speaker,
};
use rstest::rstest;
use serde_json::{Value, json};

fn draft(with: Value) -> Draft {
    let mut draft = json!({
        "name": "Toothache", "category": "booking",
        "conversation_flow": [{"speaker": "user", "message": "Hello?"}]
    });
    for (key, value) in with.as_object().into_iter().flatten() {
        draft[key] = value.clone();
    }
    Draft(draft)
}

pub(super) fn problems(with: Value) -> Vec<String> {
    let parsed = ScenarioSpec::parse(&draft(with));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

pub(super) fn valid(with: Value) -> ScenarioSpec {
    ScenarioSpec::parse(&draft(with)).unwrap_or_else(|problems| unreachable!("{problems:?}"))
}

fn users(count: usize) -> Value {
    Value::Array(vec![json!({"speaker": "user", "message": "x"}); count])
}

fn one_user_of(count: usize) -> Value {
    let mut flow = vec![json!({"speaker": "agent", "message": "x"}); count];
    flow[0]["speaker"] = json!("user");
    Value::Array(flow)
}

#[test]
fn parse_fills_in_defaults() {
    let spec = valid(json!({}));
    assert_eq!((spec.category, spec.difficulty), (Category::Booking, Difficulty::Medium));
    assert_eq!((spec.mode, spec.on_unmocked), (Mode::Scripted, OnUnmocked::Error));
    assert_eq!((spec.max_turns, spec.timeout_seconds), (20, 300));
    assert_eq!(spec.success_criteria.min_score, 70);
    assert!(spec.is_active && spec.opening_line.is_none() && spec.agent_category.is_none());
    assert!(spec.expected_behaviors.is_empty() && spec.tool_mocks.is_empty());
}

#[test]
fn parse_reports_all_problems_with_paths() {
    let listed = problems(json!({
        "name": "", "category": "sales", "difficulty": "brutal", "mode": "improvised",
        "tags": ["ok", ""], "persona": {"name": "a\nb", "age": 40}, "is_active": "maybe",
        "conversation_flow": [
            {"speaker": "user", "message": "Hi"},
            {"role": "user", "text": "Hello"},
            {"speaker": "tool", "message": "x"},
            {"speaker": "agent", "message": "\u{200B}"},
            "Hello"
        ],
        "expected_behaviors": ["Greets", "", {"text": " ", "evidence": "always"}, {"required": "perhaps", "text": "x"}, 5],
        "failure_conditions": [null, {}],
        "success_criteria": {"min_score": 101, "must_include": [""], "max_response_seconds": 0, "minimum": 3},
        "tool_mocks": [
            {"tool": "a"},
            {"tool": "", "result": {}, "error": "x"},
            {"tool": "b", "when": "{", "error": "x", "delay_ms": 60_001},
            {"tool": "c", "when": [1], "result": "ok"}
        ],
        "on_unmocked": "guess", "max_turns": 201, "timeout_seconds": 9, "goals": "x"
    }));
    let expected = [
        "name: must not be empty",
        "category: must be one of greeting, booking, objection, support, compliance, edge_case, transfer, information, happy_path, stress",
        "difficulty: must be one of easy, medium, hard",
        "mode: must be one of scripted, simulated",
        "tags[1]: must not be empty",
        "persona.name: must be on one line",
        "is_active: must be true or false",
        "conversation_flow[1].speaker: must be one of user, agent",
        "conversation_flow[1].message: must not be empty",
        "conversation_flow[1].role: is not a known field; known fields: speaker, message",
        "conversation_flow[1].text: is not a known field; known fields: speaker, message",
        "conversation_flow[2].speaker: must be one of user, agent",
        "conversation_flow[3].message: must not be empty",
        "conversation_flow[4]: must be an object, not text",
        "expected_behaviors[1]: must not be empty",
        "expected_behaviors[2].text: must not be empty",
        "expected_behaviors[2].evidence: must be one of optional, required, tool",
        "expected_behaviors[3].required: must be true or false",
        "expected_behaviors[4]: must be an object, not a number",
        "failure_conditions[0]: must be text, not null",
        "failure_conditions[1]: must be text, not an object",
        "success_criteria.min_score: must be from 0 to 100",
        "success_criteria.must_include[0]: must not be empty",
        "success_criteria.max_response_seconds: must be from 0.1 to 3600",
        "tool_mocks[0].result: is required unless error is given",
        "tool_mocks[1].tool: must not be empty",
        "tool_mocks[1].error: must not be combined with result",
        "tool_mocks[2].delay_ms: must be from 0 to 60000",
        "tool_mocks[3].when: must be an object of arguments",
        "on_unmocked: must be one of error, simulate",
        "max_turns: must be from 1 to 200",
        "timeout_seconds: must be from 10 to 3600",
    ];
    for line in expected {
        assert!(listed.contains(&line.to_owned()), "{line} is not among {listed:#?}");
    }
    let more = [
        "persona.age: ",
        "success_criteria.minimum: ",
        "tool_mocks[2].when: must be JSON",
        "goals: ",
    ];
    for start in more {
        assert!(listed.iter().any(|line| line.starts_with(start)), "{start} is not in {listed:#?}");
    }
    assert_eq!(listed.len(), expected.len() + more.len(), "{listed:#?}");
}

#[rstest]
#[case::no_user(json!({"conversation_flow": [{"speaker": "agent", "message": "x"}]}), Some("conversation_flow: must contain at least one user turn"))]
#[case::no_flow(json!({"conversation_flow": null}), Some("conversation_flow: must contain at least one user turn"))]
#[case::fits(json!({"conversation_flow": users(3), "max_turns": 3}), None)]
#[case::too_many_for_the_limit(json!({"conversation_flow": users(4), "max_turns": 3}), Some("conversation_flow: has 4 user turns, more than max_turns (3)"))]
#[case::longest(json!({"conversation_flow": users(200), "max_turns": 200}), None)]
#[case::too_long(json!({"conversation_flow": one_user_of(201)}), Some("conversation_flow: must have at most 200 entries, but has 201"))]
#[case::goal(json!({"mode": "simulated"}), Some("goal: must not be empty: the simulated user pursues this goal"))]
#[case::simulated(json!({"mode": "simulated", "goal": "x", "conversation_flow": []}), None)]
#[case::longest_message(json!({"goal": "g".repeat(32_768)}), None)]
#[case::message(json!({"goal": "g".repeat(32_769)}), Some("goal: must be at most 32768 bytes, but is 32769"))]
#[case::most_items(json!({"known_facts": vec!["x"; 100]}), None)]
#[case::items(json!({"known_facts": vec!["x"; 101]}), Some("known_facts: must have at most 100 entries, but has 101"))]
#[case::lines(json!({"known_facts": "x\n".repeat(101)}), Some("known_facts: must have at most 100 lines, but has 101"))]
#[case::long_line(json!({"known_facts": "x".repeat(32_769)}), Some("known_facts: must have lines of at most 32768 bytes"))]
#[case::most_tags(json!({"tags": (0..101).map(|n| n.to_string()).collect::<Vec<_>>()}), Some("tags: must have at most 100 entries, but has 101"))]
#[case::most_tags_as_text(json!({"tags": (0..101).map(|n| format!("{n},")).collect::<String>()}), Some("tags: must have at most 100 entries"))]
#[case::wrong_speaker(json!({"conversation_flow": [{"speaker": "me", "message": "x"}]}), Some("conversation_flow[0].speaker: must be one of user, agent"))]
#[case::no_turn(json!({"conversation_flow": ["Hello"]}), Some("conversation_flow[0]: must be an object, not text"))]
#[case::long_tag(json!({"tags": ["t".repeat(51)]}), Some("tags: must each be one line of at most 50 characters"))]
#[case::nul(json!({"known_facts": ["a\0"]}), Some("known_facts[0]: must not contain the character U+0000"))]
#[case::nul_in_a_line(json!({"known_facts": "a\0"}), Some("known_facts: must not contain the character U+0000"))]
#[case::nul_behavior(json!({"expected_behaviors": ["a\0"]}), Some("expected_behaviors[0]: must not contain the character U+0000"))]
#[case::nul_message(json!({"conversation_flow": [{"speaker": "user", "message": "a\0"}]}), Some("conversation_flow[0].message: must not contain the character U+0000"))]
#[case::nul_result(json!({"tool_mocks": [{"tool": "t", "result": {"a": ["\0"]}}]}), Some("tool_mocks[0].result: must not contain the character U+0000"))]
#[case::nul_result_text(json!({"tool_mocks": [{"tool": "t", "result": "\0"}]}), Some("tool_mocks[0].result: must not contain the character U+0000"))]
#[case::nul_when(json!({"tool_mocks": [{"tool": "t", "error": "x", "when": {"\0": 1}}]}), Some("tool_mocks[0].when: must not contain the character U+0000"))]
#[case::long_behavior(json!({"expected_behaviors": ["b".repeat(32_769)]}), Some("expected_behaviors[0]: must be at most 32768 bytes, but is 32769"))]
#[case::half_a_turn(json!({"max_turns": 2.5}), Some("max_turns: must be a whole number"))]
#[case::persona_kind(json!({"persona": "Ada"}), Some("persona: must be an object, not text"))]
#[case::sent_back(json!({"id": "x", "slug": null, "is_built_in": false, "revision": 1}), None)]
fn parse_validates_field(#[case] with: Value, #[case] problem: Option<&str>) {
    assert_eq!(problems(with), problem.into_iter().collect::<Vec<_>>());
}

#[test]
fn parse_reads_forms_and_json_alike() {
    let from_json = valid(json!({
        "tags": ["a", "b"], "is_active": false, "max_turns": 5, "category": "happy_path",
        "known_facts": ["born 1980", "allergic"],
        "expected_behaviors": ["Greets", "Asks for the day"],
        "success_criteria": {"min_score": 80, "must_include": ["ok"], "max_response_seconds": 2.5},
        "tool_mocks": [{"tool": "t", "when": {"day": "Monday"}, "result": {"free": [9]}, "delay_ms": 5}]
    }));
    let from_form = valid(json!({
        "tags": " a, b\na ", "is_active": "off", "max_turns": "5", "category": " Happy_Path ",
        "opening_line": "", "agent_category": " ", "on_unmocked": "", "goal": "",
        "known_facts": "born 1980\n\n  allergic  \n",
        "expected_behaviors": "Greets\nAsks for the day",
        "success_criteria": {"min_score": " 80 ", "must_include": "ok\n", "must_not_include": "",
                             "max_response_seconds": "2.5"},
        "conversation_flow": {"1": {"speaker": "user", "message": "Hello?"}},
        "tool_mocks": {"0": {"tool": "t", "when": "{\"day\":\"Monday\"}", "error": "",
                             "result": "{\"free\":[9]}", "delay_ms": "5"}}
    }));
    assert_eq!(from_json, from_form);
}

#[test]
fn form_list_is_sorted_by_index() {
    let flow = json!({
        "10": {"speaker": "user", "message": "last"}, "9": {"speaker": "user", "message": "first"}
    });
    let spec = valid(json!({"conversation_flow": flow}));
    let said: Vec<_> = spec.script().map(|turn| turn.message.as_str()).collect();
    assert_eq!(said, ["first", "last"]);
}

#[test]
fn behaviors_are_required_by_default() {
    let spec = valid(json!({"expected_behaviors": [
        " Greets ", {"text": "Asks"}, {"text": "Jokes", "required": false, "evidence": "required"}
    ]}));
    let behavior =
        |text: &str, required, evidence| Behavior { text: text.to_owned(), required, evidence };
    assert_eq!(
        spec.expected_behaviors,
        [
            behavior("Greets", true, EvidenceRule::Optional),
            behavior("Asks", true, EvidenceRule::Optional),
            behavior("Jokes", false, EvidenceRule::Required),
        ]
    );
}

#[rstest]
#[case::nothing(json!({}), true)]
#[case::minimum(json!({"success_criteria": {"min_score": 5}}), true)]
#[case::empty(json!({"expected_behaviors": "", "failure_conditions": " \n", "success_criteria": {"must_include": [], "max_response_seconds": ""}}), true)]
#[case::behavior(json!({"expected_behaviors": ["Greets"]}), false)]
#[case::behavior_of_form(json!({"expected_behaviors": {"0": {"text": "Greets", "required": "true"}}}), false)]
#[case::failure_condition(json!({"failure_conditions": "Swears"}), false)]
#[case::criterion(json!({"success_criteria": {"criteria": ["Polite"]}}), false)]
#[case::must_include(json!({"success_criteria": {"must_include": "x"}}), false)]
#[case::must_include_of_form(json!({"success_criteria": {"must_include": {"0": {"text": "x", "match": "word"}}}}), false)]
#[case::must_not_include(json!({"success_criteria": {"must_not_include": ["x"]}}), false)]
#[case::must_call_tools(json!({"success_criteria": {"must_call_tools": ["t"]}}), false)]
#[case::max_response_seconds(json!({"success_criteria": {"max_response_seconds": 2}}), false)]
#[case::max_response_seconds_of_form(json!({"success_criteria": {"max_response_seconds": "2"}}), false)]
fn scenario_and_its_draft_agree_on_checking_nothing(#[case] with: Value, #[case] nothing: bool) {
    assert_eq!(valid(with.clone()).checks_nothing(), nothing);
    assert_eq!(draft(with).checks_nothing(), nothing);
}

#[rstest]
#[case::empty_row(json!({"expected_behaviors": [{"text": "", "required": "true", "evidence": "optional"}]}), true)]
#[case::empty_text(json!({"success_criteria": {"must_include": {"0": {"text": " ", "match": "word"}}}}), true)]
#[case::no_object(json!({"success_criteria": "x", "expected_behaviors": null}), true)]
#[case::one_of_two_rows(json!({"expected_behaviors": [{"text": ""}, {"text": "x"}]}), false)]
#[case::other_problem(json!({"name": "", "expected_behaviors": [{"text": "x"}]}), false)]
fn invalid_draft_can_check_nothing(#[case] with: Value, #[case] nothing: bool) {
    assert_eq!(draft(with).checks_nothing(), nothing);
}

#[rstest]
#[case::object_as_text("{\"a\":1}", json!({"a": 1}))]
#[case::list_as_text(" [1, 2] ", json!([1, 2]))]
#[case::words("no seats", json!("no seats"))]
#[case::number_as_text("5", json!("5"))]
#[case::null_as_text("null", json!("null"))]
#[case::quoted_text("\"5\"", json!("\"5\""))]
#[case::bracket_inside("slots [1]", json!("slots [1]"))]
fn parse_mock_result_from_text(#[case] text: &str, #[case] result: Value) {
    let spec = valid(json!({"tool_mocks": [{"tool": "t", "result": text}]}));
    assert_eq!(spec.tool_mocks[0].result, Some(result));
}

#[rstest]
#[case::object("{\"a\":")]
#[case::list(" [1, 2")]
#[case::words("{closed}")]
fn broken_json_of_a_mock_result_is_a_problem(#[case] text: &str) {
    let listed = problems(json!({"tool_mocks": [{"tool": "t", "result": text}]}));
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].starts_with("tool_mocks[0].result: must be JSON: "), "{listed:?}");
}

#[rstest]
#[case::required(
    json!({"required_tools": ["find_slot", "find slot"]}),
    "required_tools: contains “find slot”, but the name of a tool has 1 to 64 letters, digits, _ and - only"
)]
#[case::required_lines(
    json!({"required_tools": "find_slot\nbook!"}),
    "required_tools: contains “book!”, but the name of a tool has 1 to 64 letters, digits, _ and - only"
)]
#[case::must_call(
    json!({"success_criteria": {"must_call_tools": ["größe"]}}),
    "success_criteria.must_call_tools: contains “größe”, but the name of a tool has 1 to 64 letters, digits, _ and - only"
)]
#[case::mock(
    json!({"tool_mocks": [{"tool": "find.slot", "result": {}}]}),
    "tool_mocks[0].tool: may contain only letters, digits, _ and -"
)]
fn impossible_tool_name_is_a_problem(#[case] with: Value, #[case] problem: &str) {
    assert_eq!(problems(with), [problem]);
}

/// An earlier version saved them, and the mock still answers no call.
#[test]
fn stored_scenario_with_impossible_tool_name_stays_runnable() {
    let stored = draft(json!({
        "tool_mocks": [{"tool": "find slot", "result": "{broken"}],
        "required_tools": ["find slot"], "success_criteria": {"must_call_tools": ["x y"]},
    }));
    assert_eq!(ScenarioSpec::parse(&stored).unwrap_err().len(), 4);
    let spec = ScenarioSpec::parse_stored(&stored).expect("a scenario");
    assert_eq!(spec.tool_mocks[0].result, Some(json!("{broken")));
}

#[test]
fn simulated_scenario_ignores_the_blank_turn_of_its_hidden_script() {
    let blank = json!({"speaker": "user", "message": " \u{200B}"});
    let said = json!({"speaker": "user", "message": "Hello?"});
    let with =
        |mode: &str| json!({"mode": mode, "goal": "Book", "conversation_flow": [blank, said]});
    assert_eq!(valid(with("simulated")).conversation_flow.len(), 1);
    assert_eq!(problems(with("scripted")), ["conversation_flow[0].message: must not be empty"]);
    // Other mistakes stay problems, so that no document loses content silently.
    let odd = json!({"mode": "simulated", "goal": "Book", "conversation_flow": [
        {"speaker": "nobody", "message": ""}, {"speaker": "user", "message": "", "note": "x"}]});
    assert_eq!(
        problems(odd),
        [
            "conversation_flow[0].speaker: must be one of user, agent",
            "conversation_flow[1].note: is not a known field; known fields: speaker, message",
        ]
    );
}

#[rstest]
#[case::object("{\"free\": [9]}", Ok(json!({"free": [9]})))]
#[case::text("\"no seats\"", Ok(json!("no seats")))]
#[case::number(" 5 ", Ok(json!(5)))]
#[case::flag("true", Ok(json!(true)))]
#[case::words(
    "no seats",
    Err("must be JSON, such as {\"status\": \"ok\"} or \"text in quotes\": ")
)]
#[case::broken(
    "{\"free\": ",
    Err("must be JSON, such as {\"status\": \"ok\"} or \"text in quotes\": ")
)]
#[case::empty(" ", Err("is required unless error is given"))]
#[case::null("null", Err("is required unless error is given"))]
fn mock_result_of_the_form_is_json(#[case] text: &str, #[case] expected: Result<Value, &str>) {
    let form = draft(json!({"tool_mocks": [{"tool": "t", "result": text}]}));
    match (ScenarioSpec::parse_form(&form), expected) {
        (Ok(spec), Ok(expected)) => assert_eq!(spec.tool_mocks[0].result, Some(expected)),
        (Err(found), Err(expected)) => {
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].path, "tool_mocks[0].result");
            assert!(found[0].message.starts_with(expected), "{found:?}");
        }
        (found, expected) => unreachable!("{found:?} instead of {expected:?}"),
    }
}

#[test]
fn script_contains_only_user_turns() {
    let spec = valid(json!({"conversation_flow": [
        {"speaker": "agent", "message": "Welcome"}, {"speaker": "USER", "message": "Hi"}
    ]}));
    assert_eq!(spec.conversation_flow[1].speaker, Speaker::User);
    let said: Vec<_> = spec.script().map(|turn| turn.message.as_str()).collect();
    assert_eq!(said, ["Hi"]);
}

/// Stored JSON is embedded in other documents, and parsers limit the nesting depth.
#[test]
fn parse_rejects_json_that_is_nested_too_deeply() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mocks = |depth: usize| json!({"tool_mocks": [{"tool": "t", "result": nested(depth)}]});
    assert_eq!(problems(mocks(100)), ["tool_mocks[0].result: is nested too deeply"]);
    let deepest = valid(mocks(65));
    let wrapped = json!({"a": [{"b": {"c": [deepest]}}]}).to_string();
    assert!(serde_json::from_str::<Value>(&wrapped).is_ok());
}

#[test]
fn unknown_field_message_lists_each_known_field_once() {
    let problems = ScenarioSpec::parse(&draft(json!({"naem": "A"}))).unwrap_err();
    let unknown = problems
        .iter()
        .find(|problem| problem.path == "naem")
        .expect("an unknown field is reported");
    let known = unknown.message.split_once("known fields: ").expect("known fields are listed").1;
    let mut names: Vec<_> = known.split(", ").collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{known}");
}

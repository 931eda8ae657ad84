use super::{Format, ImportFile, ReadFiles, read_files};
use domain::Draft;
use domain::error::AppError;
use rstest::rstest;

fn read_all(name: &str, text: &str, format: Format) -> Result<ReadFiles, AppError> {
    read_files(&[ImportFile { name: name.to_owned(), text: text.to_owned(), format }])
}

fn read(name: &str, text: &str, format: Format) -> Result<Vec<Draft>, AppError> {
    read_all(name, text, format).map(|read| read.documents)
}

#[test]
fn markdown_prompt_becomes_agent_named_by_heading() {
    let drafts = read("policy.md", "# Airline\n\nBe kind.\n", Format::Markdown);
    let drafts = drafts.expect("a prompt");
    assert_eq!(drafts[0].text("kind"), "agent");
    assert_eq!(drafts[0].text("name"), "Airline");
    assert_eq!(drafts[0].text("system_prompt"), "# Airline\n\nBe kind.\n");
    let plain = read("policy.md", "Be kind.", Format::Markdown).expect("a prompt");
    assert_eq!(plain[0].text("name"), "policy");
}

#[rstest]
#[case::list("- {kind: agent, name: A}\n- {kind: scenario, name: B}", 2)]
#[case::documents("kind: agent\nname: A\n---\nkind: scenario\nname: B\n", 2)]
#[case::one("name: B\nconversation_flow: []", 1)]
#[case::both("- {kind: agent}\n---\n- {kind: agent}\n- {kind: scenario}", 3)]
fn yaml_may_be_a_list_or_several_documents(#[case] text: &str, #[case] count: usize) {
    let drafts = read("", text, Format::Yaml).expect("documents");
    assert_eq!(drafts.len(), count);
    for draft in drafts {
        assert!(["agent", "scenario"].contains(&draft.text("kind").as_str()), "{draft:?}");
    }
}

#[rstest]
#[case(Format::Json, "{", 400)]
#[case(Format::Json, "[]", 422)]
#[case(Format::Json, "[1]", 422)]
#[case(Format::Json, "{\"kind\": \"spaceship\"}", 422)]
#[case(Format::Json, "{\"name\": \"neither\"}", 422)]
#[case(Format::Yaml, "a: [", 400)]
#[case(Format::Yaml, "", 422)]
#[case(Format::Yaml, "just words", 422)]
fn unreadable_document_error_has_position(
    #[case] format: Format,
    #[case] text: &str,
    #[case] status: u16,
) {
    let error = read("", text, format).expect_err("nothing to import");
    assert_eq!(error.code.status(), status, "{error}");
}

#[rstest]
#[case::key_twice("kind: agent\nname: A\nname: B\n", "name is given twice at line 3 column 1")]
#[case::no_anchor("kind: *missing\n", "anchor")]
#[case::too_large(&format!("[{}]", "1,".repeat(300_000)), "too large")]
#[case::too_deep(&format!("{}{}", "[".repeat(100), "]".repeat(100)), "nested too deeply")]
#[case::not_closed("a: [\n", "unclosed bracket '[' at line 1 column 4")]
fn yaml_error_uses_plain_language(#[case] text: &str, #[case] words: &str) {
    let error = read("", text, Format::Yaml).expect_err("is refused");
    assert!(error.detail.contains(words), "{}", error.detail);
    for internal in ["Policy", "Options", "budget", "Nodes", "{", "}"] {
        assert!(!error.detail.contains(internal), "{}", error.detail);
    }
}

#[test]
fn every_unknown_entry_is_reported() {
    let text = "- {kind: agent}\n- {kind: ship}\n- 7\n";
    let error = read("", text, Format::Yaml).expect_err("two are wrong");
    let paths: Vec<_> = error.problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["documents[1].kind", "documents[2]"]);
}

#[test]
fn policy_gets_the_tools_of_its_tasks() {
    let tasks = r#"[{"id": "0", "user_scenario": {"instructions": "Renew a loan."},
        "evaluation_criteria": {"actions": [{"name": "renew", "arguments": {"loan": "L"}}]}}]"#;
    let file = |name: &str, text: &str, format| {
        let (name, text) = (name.to_owned(), text.to_owned());
        ImportFile { name, text, format }
    };
    let policy = file("policy.md", "Be kind.", Format::Markdown);
    let tasks = file("tasks.json", tasks, Format::Json);
    let both = read_files(&[tasks.clone(), policy]).expect("a domain");
    assert_eq!(both.documents[1].text("tools[0].name"), "renew");
    let formats: Vec<_> = both.files.iter().map(|file| file.format.as_str()).collect();
    assert_eq!(formats, ["τ²-bench task", "Prompt of an agent"]);
    // The result is inferred in either case; the schema only where there is an agent.
    let alone = read_files(&[tasks]).expect("tasks");
    for (read, words) in [(both, "are inferred from the calls"), (alone, "Import the policy")] {
        let note = read.notes.iter().find(|note| note.path.ends_with("(renew)"));
        let note = note.expect("a note about the tool");
        assert!(note.reason.contains(words), "{note:?}");
        assert_eq!(note.file, "tasks.json");
    }
}

#[test]
fn error_in_one_of_several_files_names_the_file() {
    let file = |name: &str, text: &str| ImportFile {
        name: name.to_owned(),
        text: text.to_owned(),
        format: Format::Json,
    };
    let good = file("a.json", r#"{"kind": "agent"}"#);
    let bad = file("b.json", r#"{"general_prompt": 7, "states": {}}"#);
    let error = read_files(&[good.clone(), bad]).expect_err("one is malformed");
    assert!(error.detail.starts_with("b.json: "), "{}", error.detail);
    assert_eq!(error.problems[0].path, "b.json states");
    let broken = read_files(&[good, file("c.json", "{")]).expect_err("one is broken");
    assert!(broken.detail.starts_with("c.json: This is not JSON"), "{}", broken.detail);
}

#[test]
fn file_above_the_limit_is_refused() {
    let text = " ".repeat(domain::limits::BODY + 1);
    let error = read("large.json", &text, Format::Json).expect_err("is too large");
    assert_eq!(error.code.status(), 413);
}

#[test]
fn real_policy_becomes_prompt() {
    let folder = std::env::var_os("REHEARSAL_TEST_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        Into::into,
    );
    let Ok(text) = std::fs::read_to_string(folder.join("tau2-airline/policy.md")) else {
        return;
    };
    let mut drafts = read("policy.md", &text, Format::Markdown).expect("an agent");
    let Draft(mut fields) = drafts.remove(0);
    fields["connection_id"] = "0190a000-0000-7000-8000-000000000001".into();
    fields["model"] = "m".into();
    let agent = domain::AgentSpec::parse(&Draft(fields)).expect("a valid agent");
    assert_eq!(agent.name, "Airline Agent Policy");
    assert_eq!(agent.system_prompt, text);
}

#[test]
fn yaml_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let row = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{row}]\n"));
    }
    let error = read("", &text, Format::Yaml).expect_err("a bomb");
    assert_eq!(error.code.status(), 400);
}

#[test]
fn default_model_is_set_on_agents_without_model() {
    let draft = |value| domain::Draft(value);
    let mut documents = [
        draft(serde_json::json!({"kind": "agent", "name": "A", "model": " "})),
        draft(serde_json::json!({"kind": "agent", "name": "B", "model": "own"})),
        draft(serde_json::json!({"kind": "scenario", "name": "C"})),
    ];
    super::set_default_model(&mut documents, "given");
    let models = documents.each_ref().map(|document| document.text("model"));
    assert_eq!(models, ["given", "own", ""]);
}

#[test]
fn default_connection_is_set_on_agents_without_connection() {
    let draft = |value| domain::Draft(value);
    let mut documents = [
        draft(serde_json::json!({"kind": "agent", "name": "A", "connection": null})),
        draft(serde_json::json!({"kind": "agent", "name": "B", "connection": "own"})),
        draft(serde_json::json!({"kind": "agent", "name": "C", "connection_id": "id"})),
        draft(serde_json::json!({"kind": "scenario", "name": "D"})),
    ];
    super::set_default_connection(&mut documents, "given");
    let names = documents.each_ref().map(|document| document.text("connection"));
    assert_eq!(names, ["given", "own", "", ""]);
}

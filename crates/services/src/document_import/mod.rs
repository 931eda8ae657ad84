//! Reads import files: agents and scenarios as YAML or JSON, recorded
//! conversations, and prompts in Markdown. The result is drafts with a `kind`; the
//! domain validates them.

mod documents;
mod tau;

use domain::Draft;
use domain::error::{AppError, ErrorCode};
use serde_json::json;
use std::path::Path;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object, a list of objects, or recorded conversations.
    Json,
    /// One or more documents, each an object or a list of objects.
    Yaml,
    /// An agent's prompt.
    Markdown,
}

impl Format {
    /// The format for a file extension.
    #[must_use]
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "md" | "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }

    /// The format for a content type without parameters.
    #[must_use]
    pub fn of_media_type(kind: &str) -> Option<Self> {
        match kind {
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
                Some(Self::Yaml)
            }
            "text/markdown" => Some(Self::Markdown),
            kind if kind == "application/json" || kind.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }
}

/// The drafts in a text, each with its `kind`. `name` is the name of the file, or
/// empty.
///
/// # Errors
/// 400 with line and column if the text is neither JSON nor YAML, 422 with a path
/// for an entry that is neither agent nor scenario.
pub fn read(name: &str, text: &str, format: Format) -> Result<Vec<Draft>, AppError> {
    let documents = match format {
        Format::Json => documents::json(text)?,
        Format::Yaml => documents::yaml(text)?,
        Format::Markdown => return Ok(vec![prompt(name, text)]),
    };
    let documents =
        if documents.iter().any(tau::is_record) { tau::scenarios(&documents) } else { documents };
    if documents.is_empty() {
        return Err(AppError::new(ErrorCode::Invalid, "There is nothing in it to import."));
    }
    documents::with_kinds(documents)
}

/// An agent from its prompt. The import selects the connection.
fn prompt(name: &str, text: &str) -> Draft {
    let heading = text.lines().find_map(|line| line.strip_prefix("# ")).map(str::trim);
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = heading.filter(|heading| !heading.is_empty()).unwrap_or(stem);
    let name: String = if name.is_empty() { "Imported agent" } else { name }.into();
    let name: String = name.chars().take(domain::limits::NAME).collect();
    Draft(json!({"kind": "agent", "name": name, "system_prompt": text}))
}

/// Sets the model of agents without one.
pub fn set_default_model(documents: &mut [Draft], model: &str) {
    set_default(documents, &["model"], "model", model);
}

/// Sets the connection of agents without one, by its name.
pub fn set_default_connection(documents: &mut [Draft], name: &str) {
    set_default(documents, &["connection", "connection_id"], "connection", name);
}

/// Sets `field` of agents in which all `fields` are blank.
fn set_default(documents: &mut [Draft], fields: &[&str], field: &str, value: &str) {
    for document in documents {
        let all_blank = fields.iter().all(|field| document.text(field).trim().is_empty());
        if document.text("kind") == "agent" && all_blank {
            document.0[field] = value.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, read};
    use rstest::rstest;

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
}

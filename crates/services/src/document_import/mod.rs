//! Reads import files: agents and scenarios as YAML or JSON, definitions and tests of other
//! products (crate `importers`), and prompts in Markdown. The result is drafts with a
//! `kind`; the domain validates them.

mod documents;
#[cfg(test)]
mod tests;

use documents::Entries;
use domain::error::{AppError, ErrorCode};
use domain::services::{ImportNote, ImportNoteKind, ImportReport, ImportedFile};
use domain::{Draft, limits};
use serde_json::{Value, json};
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

/// A file of an import.
#[derive(Clone, Debug)]
pub struct ImportFile {
    /// With or without extension; empty if unknown.
    pub name: String,
    pub text: String,
    pub format: Format,
}

/// What was read from the files of an import.
#[derive(Clone, Debug, Default)]
pub struct ReadFiles {
    /// The drafts of all files, each with its `kind`.
    pub documents: Vec<Draft>,
    pub files: Vec<ImportedFile>,
    pub notes: Vec<ImportNote>,
    pub note_count: usize,
}

impl ReadFiles {
    /// Adds the formats and the notes to the report of the import.
    pub fn complete_report(self, report: &mut ImportReport) {
        report.files = self.files;
        report.notes = self.notes;
        report.note_count = self.note_count;
    }
}

/// Reads the files of an import. Tools that tasks of τ²-bench name are added to the prompts
/// in Markdown, because a policy and its tasks are separate files.
///
/// # Errors
/// 413 for a file that is too large, 400 with line and column if a text is neither JSON nor
/// YAML, 422 with a path for an entry that is neither agent nor scenario and in no format
/// that can be converted, or that has a mistake in that format.
pub fn read_files(files: &[ImportFile]) -> Result<ReadFiles, AppError> {
    let mut all = ReadFiles::default();
    let (mut prompts, mut agent_tools) = (Vec::new(), Vec::new());
    for file in files {
        let read = read(file).map_err(|error| in_file(error, file, files.len()))?;
        if file.format == Format::Markdown {
            prompts.push(all.documents.len());
        }
        agent_tools.extend(read.agent_tools.into_iter().map(|tool| (file.name.clone(), tool)));
        all.documents.extend(read.documents);
        all.files.push(ImportedFile { name: file.name.clone(), format: read.format });
        all.notes.extend(read.notes.into_iter().map(|note| {
            let file = file.name.clone();
            ImportNote { file, ..note }
        }));
        all.note_count += read.note_count;
    }
    if all.documents.is_empty() {
        return Err(AppError::new(ErrorCode::Invalid, "There is nothing in it to import."));
    }
    add_tools(&mut all, &prompts, agent_tools);
    all.notes.truncate(limits::IMPORT_NOTES);
    Ok(all)
}

/// Names the file in an error, if there are several.
fn in_file(mut error: AppError, file: &ImportFile, count: usize) -> AppError {
    if count > 1 && !file.name.is_empty() {
        error.detail = format!("{}: {}", file.name, error.detail);
        for problem in &mut error.problems {
            problem.path = format!("{} {}", file.name, problem.path);
        }
    }
    error
}

/// Adds the tools of tasks to the prompts. Notes what is inferred, or that the agent is
/// missing.
fn add_tools(all: &mut ReadFiles, prompts: &[usize], tools: Vec<(String, Value)>) {
    for (file, tool) in &tools {
        let name = tool["name"].as_str().unwrap_or_default();
        let (kind, reason) = if prompts.is_empty() {
            let reason = "The tasks name this tool, but the agent that has it is not among the \
                          files. Import the policy of the domain (policy.md) together with the \
                          tasks to get an agent with the tools.";
            (ImportNoteKind::NotCarriedOver, reason)
        } else {
            let reason = "The tasks name the tool without a description or a schema. Its \
                          parameters are inferred from the calls in the tasks.";
            (ImportNoteKind::Inferred, reason)
        };
        let path = format!("evaluation_criteria.actions ({name})");
        let (file, reason) = (file.clone(), reason.to_owned());
        all.notes.push(ImportNote { kind, file, path, reason, count: 1 });
        all.note_count += 1;
    }
    let tools: Vec<Value> = tools.into_iter().map(|(_, tool)| tool).collect();
    for prompt in prompts {
        if let Some(Draft(Value::Object(agent))) = all.documents.get_mut(*prompt) {
            agent.insert("tools".to_owned(), Value::Array(tools.clone()));
        }
    }
}

/// What was read from one file.
struct ReadFile {
    documents: Vec<Draft>,
    format: String,
    notes: Vec<ImportNote>,
    note_count: usize,
    agent_tools: Vec<Value>,
}

fn read(file: &ImportFile) -> Result<ReadFile, AppError> {
    let ImportFile { name, text, format } = file;
    if text.len() > limits::BODY {
        let detail = format!("The file is too large. The maximum is {} MiB.", limits::BODY >> 20);
        return Err(AppError::new(ErrorCode::TooLarge, detail));
    }
    let Entries { values, is_list } = match format {
        Format::Json => documents::json(text)?,
        Format::Yaml => documents::yaml(text)?,
        Format::Markdown => {
            return Ok(ReadFile {
                documents: vec![prompt(name, text)],
                format: "Prompt of an agent".to_owned(),
                notes: Vec::new(),
                note_count: 0,
                agent_tools: Vec::new(),
            });
        }
    };
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let stem = if stem.is_empty() { "Imported agent" } else { stem };
    let converted = importers::convert(stem, values, is_list)
        .map_err(|error| AppError::invalid_with_count(error.problems, error.problem_count))?;
    let mut formats: Vec<_> = converted.formats.iter().map(|format| format.label()).collect();
    if formats.is_empty() {
        formats.push("Rehearsal");
    }
    Ok(ReadFile {
        documents: documents::with_kinds(converted.documents)?,
        format: formats.join(", "),
        notes: converted.notes,
        note_count: converted.note_count,
        agent_tools: converted.agent_tools,
    })
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

/// Sets the connection of agents without one, by its id.
pub fn set_default_connection_id(documents: &mut [Draft], id: &str) {
    set_default(documents, &["connection", "connection_id"], "connection_id", id);
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

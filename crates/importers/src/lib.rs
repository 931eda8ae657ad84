//! Converts agents and scenarios of other products to documents of Rehearsal, without I/O.
//!
//! The format of each entry of a file is detected by its fields. The result contains notes:
//! what could not be carried over, and what was inferred because the file does not say it. No
//! field is dropped without a note, because objects are read with a reader that keeps track
//! of what was read (`source.rs`).
//!
//! The documents are not validated here. The domain does that for every import.

mod agent;
mod report;
mod retell;
mod retell_flow;
mod retell_llm;
mod retell_tests;
mod source;
mod tau2;
mod tau2_tools;
mod tau_bench;
mod vapi;
mod variables;

use crate::report::{Findings, Report};
use crate::source::Source;
use crate::tau2_tools::Tools;
use domain::services::ImportNote;
use domain::{Draft, Problems};
use serde_json::Value;

/// The format of one entry of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    RetellAgent,
    RetellLlm,
    RetellFlow,
    RetellTest,
    VapiAssistant,
    VapiSquad,
    Tau2Task,
    TauBenchRecord,
}

impl Format {
    /// The format of an entry. `None` if the entry is in no foreign format, in particular if
    /// it says that it is a document of Rehearsal.
    #[must_use]
    pub fn detect(entry: &Value) -> Option<Self> {
        let has = |field: &str| entry.get(field).is_some();
        let is_list = |field: &str| entry.get(field).is_some_and(Value::is_array);
        let is_object = |field: &str| entry.get(field).is_some_and(Value::is_object);
        if !entry.is_object() || has("kind") || has("system_prompt") {
            return None;
        }
        Some(if is_list("traj") {
            Self::TauBenchRecord
        } else if has("user_scenario") {
            Self::Tau2Task
        } else if has("retellLlmData")
            || is_object("conversationFlow")
            || has("response_engine") && has("agent_name")
        {
            Self::RetellAgent
        } else if has("conversation_flow_id") || has("start_node_id") || is_list("nodes") {
            Self::RetellFlow
        } else if has("general_prompt") || has("llm_id") || is_list("states") {
            Self::RetellLlm
        } else if has("user_prompt") {
            Self::RetellTest
        } else if is_list("members") {
            Self::VapiSquad
        } else if is_object("model") || has("firstMessage") {
            Self::VapiAssistant
        } else {
            return None;
        })
    }

    /// The name on pages and in messages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::RetellAgent => "Retell agent",
            Self::RetellLlm => "Retell LLM",
            Self::RetellFlow => "Retell conversation flow",
            Self::RetellTest => "Retell test case",
            Self::VapiAssistant => "Vapi assistant",
            Self::VapiSquad => "Vapi squad",
            Self::Tau2Task => "τ²-bench task",
            Self::TauBenchRecord => "recorded tau-bench conversation",
        }
    }
}

/// The documents of a file.
#[derive(Debug, Default)]
pub struct Conversion {
    /// The documents in the order of the file. Entries in no foreign format are unchanged.
    pub documents: Vec<Draft>,
    /// The foreign formats of the file, without repetitions.
    pub formats: Vec<Format>,
    /// At most [`limits::IMPORT_NOTES`](domain::limits::IMPORT_NOTES).
    pub notes: Vec<ImportNote>,
    /// The number of notes, also of those that are not listed.
    pub note_count: usize,
    /// Tools that the scenarios of the file call and that belong to an agent in another file,
    /// as agents list them.
    pub agent_tools: Vec<Value>,
}

/// What is wrong with a file.
#[derive(Debug)]
pub struct ConversionError {
    /// The first problems, with their paths in the file.
    pub problems: Problems,
    /// The number of all problems.
    pub problem_count: usize,
}

/// Converts the entries of a file with this name. `is_list` says whether the file is a list,
/// which decides whether paths begin with an index.
///
/// # Errors
/// All problems of entries in a foreign format.
pub fn convert(
    name: &str,
    entries: Vec<Value>,
    is_list: bool,
) -> Result<Conversion, ConversionError> {
    let report = Report::default();
    let mut converted = Conversion::default();
    let mut tools = Tools::default();
    let record_names = tau_bench::names(&entries);
    for (index, entry) in entries.into_iter().enumerate() {
        let Some(format) = Format::detect(&entry) else {
            converted.documents.push(Draft(entry));
            continue;
        };
        if !converted.formats.contains(&format) {
            converted.formats.push(format);
        }
        let path = if is_list { format!("[{index}]") } else { String::new() };
        let Some(source) = Source::new(&entry, path, &report) else { continue };
        let document = match format {
            Format::RetellAgent => retell::agent_export(source, name),
            Format::RetellLlm => Some(retell_llm::agent(source, name)),
            Format::RetellFlow => retell_flow::agent(source, name),
            Format::RetellTest => Some(retell_tests::scenario(source)),
            Format::VapiAssistant => Some(vapi::assistant(source, name)),
            Format::VapiSquad => Some(vapi::squad(source, name)),
            Format::Tau2Task => tau2::scenario(source, &mut tools),
            Format::TauBenchRecord => Some(tau_bench::scenario(source, &record_names[index])),
        };
        converted.documents.extend(document);
    }
    let Findings { notes, note_count, problems, problem_count } = report.finish();
    if problem_count > 0 {
        return Err(ConversionError { problems, problem_count });
    }
    Ok(Conversion { notes, note_count, agent_tools: tools.documents(), ..converted })
}

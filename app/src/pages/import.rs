//! Import of files: the form, what would be imported, and what was imported.

use crate::components::format::plural;
use crate::components::page_data::{load, saved_form_param, section_when_loaded};
use crate::components::table::table;
use crate::components::title::heading;
use crate::domain::Problem;
use crate::server_fns::imports::ImportData;
use crate::server_fns::{ConnectionChoice, ImportQuery};
use crate::services::{ImportKind, ImportNote, ImportNoteKind, ImportReport, ImportedDocument};
use leptos::prelude::*;

/// The file types that the form offers.
const FILE_TYPES: &str = ".json,.yaml,.yml,.md,.markdown";

#[component]
pub fn ImportPage() -> impl IntoView {
    let saved_form = saved_form_param();
    let data = load(move || ImportQuery { saved_form: saved_form.get() });
    view! {
        <div class="page-head">{heading("Import")}</div>
        {section_when_loaded(data, show)}
    }
}

fn show(data: ImportData) -> AnyView {
    let ImportData { report, detail, problems, upload, connection_id, model, connections } = data;
    let failure = (!detail.is_empty()).then(|| failure(detail, problems));
    let result = report.map(|report| {
        let save = (!upload.is_empty())
            .then(|| save_form(&report, upload, &connections, &connection_id, model));
        view! { {summary(&report)} {save} {details(report)} }
    });
    view! { {failure} {result} {file_form()} }.into_any()
}

fn failure(detail: String, problems: Vec<Problem>) -> AnyView {
    // A single problem is in the sentence already.
    let listed = (problems.len() > 1).then(|| problem_list(problems));
    view! { <div class="errors" role="alert"><h2>{detail}</h2>{listed}</div> }.into_any()
}

fn problem_list(problems: Vec<Problem>) -> AnyView {
    let items = problems.into_iter().map(|problem| view! { <li>{problem.to_string()}</li> });
    view! { <ul>{items.collect_view()}</ul> }.into_any()
}

/// The form with the files. `page.js` adds dropped files to its input and submits it.
fn file_form() -> AnyView {
    view! {
        <section aria-labelledby="files-head">
            <h2 id="files-head">"Files"</h2>
            <p class="hint">
                "Agents, scenarios and test profiles of Rehearsal (YAML or JSON) · Retell agents, LLMs, conversation flows and test cases · "
                "Vapi assistants and squads · τ²-bench tasks, together with their policy · recorded tau-bench conversations · "
                "an agent’s prompt (Markdown). The format is detected. Nothing is saved before you have seen the result."
            </p>
            <form method="post" action="/forms/import" enctype="multipart/form-data" class="drop-zone" data-drop="">
                <label for="file">"Select files, or drop them here"</label>
                <input type="file" id="file" name="file" multiple required accept=FILE_TYPES/>
                <button type="submit" class="primary">"Check files"</button>
            </form>
        </section>
    }
    .into_any()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn summary(report: &ImportReport) -> AnyView {
    let documents = plural(count(report.documents.len()), "document");
    let text = match (report.dry_run, report.problem_count) {
        (false, _) => format!("{documents} imported."),
        (true, 0) => format!("{documents} can be imported. Nothing is saved yet."),
        (true, problems) => {
            format!("{} to fix. Nothing is saved.", plural(count(problems), "problem"))
        }
    };
    let is_bad = report.problem_count > 0;
    view! { <p class=if is_bad { "warning" } else { "notice" } role="status">{text}</p> }.into_any()
}

/// The button that saves the documents, with a connection and a model for the agents.
fn save_form(
    report: &ImportReport,
    upload: String,
    connections: &[ConnectionChoice],
    connection_id: &str,
    model: String,
) -> AnyView {
    let has_agents = report.documents.iter().any(|document| document.kind == ImportKind::Agent);
    let options = connections.iter().map(|connection| {
        let (id, name) = (connection.id.clone(), connection.name.clone());
        view! { <option value=id selected=connection.id == connection_id>{name}</option> }
    });
    let for_agents = has_agents.then(|| {
        view! {
            <div class="field">
                <label for="connection_id">"Connection of agents without one"</label>
                <select id="connection_id" name="connection_id">
                    <option value="">"The first connection"</option>
                    {options.collect_view()}
                </select>
            </div>
            <div class="field">
                <label for="model">"Model of agents without one"</label>
                <input type="text" id="model" name="model" value=model/>
            </div>
        }
    });
    let label = format!("Import {}", plural(count(report.documents.len()), "document"));
    view! {
        <form method="post" action="/forms/import/save" class="fields">
            <input type="hidden" name="upload" value=upload/>
            {for_agents}
            <div class="wide"><button type="submit" class="primary">{label}</button></div>
        </form>
    }
    .into_any()
}

fn details(report: ImportReport) -> AnyView {
    let files = report.files.into_iter().map(|file| {
        view! { <li><strong>{file.name}</strong> ": " {file.format}</li> }
    });
    let unlisted = report.note_count.saturating_sub(report.notes.len());
    let unlisted = (unlisted > 0)
        .then(|| view! { <p class="hint">{format!("{} not listed.", plural(count(unlisted), "more note"))}</p> });
    let (lost, inferred): (Vec<_>, Vec<_>) =
        report.notes.into_iter().partition(|note| note.kind == ImportNoteKind::NotCarriedOver);
    view! {
        <ul class="files">{files.collect_view()}</ul>
        {documents(report.documents)}
        {notes("Not carried over", "Rehearsal has no place for these values of the files.", lost)}
        {notes("Inferred", "The files do not say this. Check it in the editors.", inferred)}
        {unlisted}
    }
    .into_any()
}

fn documents(documents: Vec<ImportedDocument>) -> AnyView {
    let rows = documents.into_iter().map(|document| {
        let (kind, path) = match document.kind {
            ImportKind::Agent => ("Agent", "agents"),
            ImportKind::Scenario => ("Scenario", "scenarios"),
            ImportKind::Profile => ("Test profile", "settings/profiles"),
        };
        let name = match document.id {
            Some(id) => view! { <a href=format!("/{path}/{id}")>{document.name}</a> }.into_any(),
            None => document.name.into_any(),
        };
        let problems = (!document.problems.is_empty()).then(|| {
            view! { <div class="problem">{problem_list(document.problems)}</div> }
        });
        view! { <tr><td>{kind}</td><td class="main">{name} {problems}</td></tr> }.into_any()
    });
    let columns = [("Kind", ""), ("Name", "")];
    view! { <section><h2>"Documents"</h2>{table("Documents", "list", &columns, rows.collect())}</section> }
        .into_any()
}

fn notes(title: &'static str, hint: &'static str, notes: Vec<ImportNote>) -> AnyView {
    if notes.is_empty() {
        return ().into_any();
    }
    let rows = notes.into_iter().map(|note| {
        let more = (note.count > 1).then(|| format!(" and {} more", note.count - 1));
        view! {
            <tr>
                <td>{note.file}</td>
                <td class="main"><code>{note.path}</code>{more}</td>
                <td>{note.reason}</td>
            </tr>
        }
        .into_any()
    });
    let columns = [("File", ""), ("Path", ""), ("Reason", "")];
    view! {
        <section><h2>{title}</h2><p class="hint">{hint}</p>{table(title, "list", &columns, rows.collect())}</section>
    }
    .into_any()
}

//! Collects what a conversion could not carry over, what it inferred, and what is wrong
//! with the input.

use domain::services::{ImportNote, ImportNoteKind};
use domain::{Problem, Problems, limits};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Maximum length of a path in a note, in characters. Paths contain names of the input.
const MAX_PATH: usize = 200;

/// The notes and problems of one file. Readers of nested objects share it, so its methods
/// take `&self`.
#[derive(Debug, Default)]
pub(crate) struct Report {
    notes: RefCell<Vec<ImportNote>>,
    /// The index in `notes` of each kind, path without list indexes, and reason.
    groups: RefCell<HashMap<(ImportNoteKind, String, String), usize>>,
    note_count: Cell<usize>,
    problems: RefCell<Problems>,
    problem_count: Cell<usize>,
}

/// A [`Report`] that is complete.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) notes: Vec<ImportNote>,
    pub(crate) note_count: usize,
    pub(crate) problems: Problems,
    pub(crate) problem_count: usize,
}

impl Report {
    /// Notes that the value at `path` is in no document.
    pub(crate) fn not_carried_over(&self, path: &str, reason: &str) {
        self.note(ImportNoteKind::NotCarriedOver, path, reason);
    }

    /// Notes that the documents contain something that the file does not say.
    pub(crate) fn inferred(&self, path: &str, reason: &str) {
        self.note(ImportNoteKind::Inferred, path, reason);
    }

    /// Adds a note. Equal notes about entries of one list are one note that counts them.
    fn note(&self, kind: ImportNoteKind, path: &str, reason: &str) {
        let path: String = path.chars().take(MAX_PATH).collect();
        let mut notes = self.notes.borrow_mut();
        let mut groups = self.groups.borrow_mut();
        let group = (kind, without_indexes(&path), reason.to_owned());
        if let Some(note) = groups.get(&group).and_then(|at| notes.get_mut(*at)) {
            note.count += 1;
            return;
        }
        self.note_count.set(self.note_count.get() + 1);
        if notes.len() < limits::IMPORT_NOTES {
            groups.insert(group, notes.len());
            let (file, reason) = (String::new(), reason.to_owned());
            notes.push(ImportNote { kind, file, path, reason, count: 1 });
        }
    }

    /// Records a problem of the input.
    pub(crate) fn problem(&self, path: &str, message: &str) {
        let problem = Problem::new(path, message);
        let mut problems = self.problems.borrow_mut();
        // A field that is read twice has one problem.
        if problems.contains(&problem) {
            return;
        }
        self.problem_count.set(self.problem_count.get() + 1);
        if problems.len() < limits::PROBLEMS {
            problems.push(problem);
        }
    }

    pub(crate) fn finish(self) -> Findings {
        Findings {
            notes: self.notes.into_inner(),
            note_count: self.note_count.get(),
            problems: self.problems.into_inner(),
            problem_count: self.problem_count.get(),
        }
    }
}

/// The path with `[]` for each list index.
fn without_indexes(path: &str) -> String {
    let mut parts = path.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('[');
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Report;
    use domain::limits;

    #[test]
    fn equal_notes_about_list_entries_are_counted() {
        let report = Report::default();
        for index in 0..3 {
            report.not_carried_over(&format!("nodes[{index}].display_position"), "A reason.");
        }
        report.not_carried_over("nodes[0].display_position", "Another reason.");
        let found = report.finish();
        let counts: Vec<_> = found.notes.iter().map(|n| (n.path.as_str(), n.count)).collect();
        assert_eq!(counts, [("nodes[0].display_position", 3), ("nodes[0].display_position", 1)]);
        assert_eq!(found.note_count, 2);
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let report = Report::default();
        for index in 0..limits::IMPORT_NOTES + 5 {
            report.not_carried_over(&format!("field{index}"), "A reason.");
            report.problem(&format!("field{index}"), "is wrong");
        }
        let found = report.finish();
        assert_eq!(found.notes.len(), limits::IMPORT_NOTES);
        assert_eq!(found.note_count, limits::IMPORT_NOTES + 5);
        assert_eq!(found.problems.len(), limits::PROBLEMS);
        assert_eq!(found.problem_count, limits::IMPORT_NOTES + 5);
    }
}

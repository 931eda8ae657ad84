//! Lists of rows in an editor, which buttons add, remove and move. Each button
//! posts its action, so that it works without WASM. With WASM the list changes at
//! once, the focus is kept and the change is announced.

use super::browser;
use super::form::Form;
use super::form_data::field_id;
use super::title::Announcer;
use crate::domain::Draft;
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use serde_json::Value;

/// Description of a list of rows.
#[derive(Clone, Copy)]
pub struct RowList {
    /// Path of the list in the draft.
    pub path: &'static str,
    /// Name of one row: `Turn`.
    pub noun: &'static str,
    /// Label of the add button.
    pub add: &'static str,
    /// A new row at this index.
    pub blank: fn(usize) -> Value,
    /// The fields of a row.
    pub row: fn(Form, ReadSignal<usize>, &Draft) -> AnyView,
}

#[derive(Clone, PartialEq)]
struct Row {
    key: u32,
    draft: Draft,
}

#[derive(Clone, Copy)]
struct State {
    rows: RwSignal<Vec<Row>>,
    next_key: StoredValue<u32>,
    list: RowList,
}

impl State {
    fn new(list: RowList, form: Form) -> Self {
        let entries: Vec<Value> = form.draft(|draft| entries(draft, list.path));
        let mut next = 0;
        let rows = entries.into_iter().map(|value| {
            next += 1;
            Row { key: next, draft: Draft(normalize_row(list, value)) }
        });
        let rows: Vec<_> = rows.collect();
        Self { rows: RwSignal::new(rows), next_key: StoredValue::new(next), list }
    }

    fn id(self, index: usize, part: &str) -> String {
        format!("{}-{index}-{part}", field_id(self.list.path))
    }

    fn add(self) {
        let key = self.next_key.get_value() + 1;
        self.next_key.set_value(key);
        let index = self.rows.with_untracked(Vec::len);
        let draft = Draft((self.list.blank)(index));
        self.rows.update(|rows| rows.push(Row { key, draft }));
        browser::focus_after_render(self.id(index, "row"));
        Announcer::get().announce(format!("{} {} added", self.list.noun, index + 1));
    }

    fn remove(self, index: usize) {
        self.rows.update(|rows| drop(rows.remove(index)));
        let remaining = self.rows.with_untracked(Vec::len);
        browser::focus_after_render(if remaining == 0 {
            format!("{}-add", field_id(self.list.path))
        } else {
            self.id(index.min(remaining - 1), "row")
        });
        Announcer::get().announce(format!(
            "{} {} removed, {remaining} left",
            self.list.noun,
            index + 1
        ));
    }

    fn shift(self, index: usize, down: bool, part: &'static str) {
        let total = self.rows.with_untracked(Vec::len);
        let to = if down { index + 1 } else { index.wrapping_sub(1) };
        if to >= total {
            return;
        }
        self.rows.update(|rows| rows.swap(index, to));
        // At an end the pressed button is disabled, so its sibling gets the focus.
        let part = match (part, to) {
            ("up", 0) => "down",
            ("down", to) if to + 1 == total => "up",
            (part, _) => part,
        };
        browser::focus_after_render(self.id(to, part));
        let noun = self.list.noun;
        Announcer::get().announce(format!("{noun} {} moved to {} of {total}", index + 1, to + 1));
    }

    fn key(self, index: usize, event: &KeyboardEvent) {
        if !event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "ArrowUp" => self.shift(index, false, "row"),
            "ArrowDown" => self.shift(index, true, "row"),
            _ => return,
        }
        event.prevent_default();
    }
}

/// The entries of a list, which may also be text with one entry per line.
fn entries(draft: &Draft, path: &str) -> Vec<Value> {
    match draft.at(path) {
        Some(Value::Array(entries)) => entries.clone(),
        Some(Value::String(text)) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(|line| Value::String(line.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// Expands the short form of an entry, a plain text, to an object.
fn normalize_row(list: RowList, value: Value) -> Value {
    let mut row = (list.blank)(0);
    match row.get_mut("text") {
        Some(text) if !value.is_object() => {
            *text = value;
            row
        }
        _ => value,
    }
}

pub fn rows(form: Form, list: RowList) -> AnyView {
    let state = State::new(list, form);
    let children = move |index: ReadSignal<usize>, row: Row| {
        let fields = (list.row)(form, index, &row.draft);
        row_view(state, index, fields)
    };
    view! {
        <div class="rows" id=field_id(list.path) tabindex="-1">
            {form.list_problem(list.path)}
            <ForEnumerate each=move || state.rows.get() key=|row| row.key children=children/>
            <button type="submit" name="_action" value=format!("add:{}", list.path)
                id=format!("{}-add", field_id(list.path)) formnovalidate
                on:click=move |event| {
                    event.prevent_default();
                    state.add();
                }>
                {list.add}
            </button>
        </div>
    }
    .into_any()
}

fn row_view(state: State, index: ReadSignal<usize>, fields: AnyView) -> AnyView {
    let RowList { path, noun, .. } = state.list;
    let number = move || index.get() + 1;
    let last = move || state.rows.with(Vec::len) == number();
    view! {
        <fieldset class="row" id=move || state.id(index.get(), "row") tabindex="-1"
            on:keydown=move |event| state.key(index.get_untracked(), &event)>
            <legend>{noun} " " {number}</legend>
            <div class="row-fields">{fields}</div>
            <div class="row-tools">
                <button type="submit" name="_action" class="quiet" formnovalidate
                    id=move || state.id(index.get(), "up")
                    value=move || format!("up:{path}:{}", index.get())
                    aria-label=move || format!("Move {} {} up", noun.to_lowercase(), number())
                    disabled=move || index.get() == 0
                    on:click=move |event| {
                        event.prevent_default();
                        state.shift(index.get_untracked(), false, "up");
                    }>"↑"</button>
                <button type="submit" name="_action" class="quiet" formnovalidate
                    id=move || state.id(index.get(), "down")
                    value=move || format!("down:{path}:{}", index.get())
                    aria-label=move || format!("Move {} {} down", noun.to_lowercase(), number())
                    disabled=last
                    on:click=move |event| {
                        event.prevent_default();
                        state.shift(index.get_untracked(), true, "down");
                    }>"↓"</button>
                <button type="submit" name="_action" class="quiet" formnovalidate
                    value=move || format!("remove:{path}:{}", index.get())
                    aria-label=move || format!("Remove {} {}", noun.to_lowercase(), number())
                    on:click=move |event| {
                        event.prevent_default();
                        state.remove(index.get_untracked());
                    }>"Remove"</button>
            </div>
        </fieldset>
    }
    .into_any()
}

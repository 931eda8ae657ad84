//! Rows of an editor: added, removed and moved. Each button posts what it
//! does, so that it works without WASM; with it, the row changes at once, the
//! focus stays and the change is said.

use super::browser;
use super::form::Form;
use super::title::Announcer;
use crate::domain::Draft;
use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use serde_json::Value;

/// What a list of rows is and how one looks.
#[derive(Clone, Copy)]
pub struct Rows {
    /// The field of the draft.
    pub list: &'static str,
    /// What one is called: `Turn`.
    pub noun: &'static str,
    /// The button that adds one.
    pub add: &'static str,
    /// A fresh one, after so many.
    pub blank: fn(usize) -> Value,
    /// Its fields.
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
    kind: Rows,
}

impl State {
    fn new(kind: Rows, form: Form) -> Self {
        let entries: Vec<Value> = form.draft(|draft| {
            draft.at(kind.list).and_then(Value::as_array).cloned().unwrap_or_default()
        });
        let mut next = 0;
        let rows = entries.into_iter().map(|value| {
            next += 1;
            Row { key: next, draft: Draft(of_object(kind, value)) }
        });
        let rows: Vec<_> = rows.collect();
        Self { rows: RwSignal::new(rows), next_key: StoredValue::new(next), kind }
    }

    fn id(self, index: usize, part: &str) -> String {
        format!("{}-{index}-{part}", self.kind.list)
    }

    fn add(self) {
        let key = self.next_key.get_value() + 1;
        self.next_key.set_value(key);
        let index = self.rows.with_untracked(Vec::len);
        let draft = Draft((self.kind.blank)(index));
        self.rows.update(|rows| rows.push(Row { key, draft }));
        browser::focus_soon(self.id(index, "row"));
        Announcer::get().say(format!("{} {} added", self.kind.noun, index + 1));
    }

    fn remove(self, index: usize) {
        self.rows.update(|rows| drop(rows.remove(index)));
        let left = self.rows.with_untracked(Vec::len);
        browser::focus_soon(if left == 0 {
            format!("{}-add", self.kind.list)
        } else {
            self.id(index.min(left - 1), "row")
        });
        Announcer::get().say(format!("{} {} removed, {left} left", self.kind.noun, index + 1));
    }

    fn shift(self, index: usize, down: bool, part: &'static str) {
        let total = self.rows.with_untracked(Vec::len);
        let to = if down { index + 1 } else { index.wrapping_sub(1) };
        if to >= total {
            return;
        }
        self.rows.update(|rows| rows.swap(index, to));
        // At an end the button that was pressed is off: its sibling takes over.
        let part = match (part, to) {
            ("up", 0) => "down",
            ("down", to) if to + 1 == total => "up",
            (part, _) => part,
        };
        browser::focus_soon(self.id(to, part));
        let noun = self.kind.noun;
        Announcer::get().say(format!("{noun} {} moved to {} of {total}", index + 1, to + 1));
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

/// A bare text is the short spelling of a row with a text.
fn of_object(kind: Rows, value: Value) -> Value {
    if value.is_object() || kind.list != "expected_behaviors" {
        return value;
    }
    let mut fresh = (kind.blank)(0);
    fresh["text"] = value;
    fresh
}

/// The rows, with their buttons.
pub fn rows(form: Form, kind: Rows) -> AnyView {
    let state = State::new(kind, form);
    let children = move |index: ReadSignal<usize>, row: Row| {
        let fields = (kind.row)(form, index, &row.draft);
        one(state, index, fields)
    };
    view! {
        <div class="rows" id=kind.list tabindex="-1">
            {form.list_problem(kind.list)}
            <ForEnumerate each=move || state.rows.get() key=|row| row.key children=children/>
            <button type="submit" name="_action" value=format!("add:{}", kind.list)
                id=format!("{}-add", kind.list) formnovalidate
                on:click=move |event| {
                    event.prevent_default();
                    state.add();
                }>
                {kind.add}
            </button>
        </div>
    }
    .into_any()
}

fn one(state: State, index: ReadSignal<usize>, fields: AnyView) -> AnyView {
    let Rows { list, noun, .. } = state.kind;
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
                    value=move || format!("up:{list}:{}", index.get())
                    aria-label=move || format!("Move {} {} up", noun.to_lowercase(), number())
                    disabled=move || index.get() == 0
                    on:click=move |event| {
                        event.prevent_default();
                        state.shift(index.get_untracked(), false, "up");
                    }>"↑"</button>
                <button type="submit" name="_action" class="quiet" formnovalidate
                    id=move || state.id(index.get(), "down")
                    value=move || format!("down:{list}:{}", index.get())
                    aria-label=move || format!("Move {} {} down", noun.to_lowercase(), number())
                    disabled=last
                    on:click=move |event| {
                        event.prevent_default();
                        state.shift(index.get_untracked(), true, "down");
                    }>"↓"</button>
                <button type="submit" name="_action" class="quiet" formnovalidate
                    value=move || format!("remove:{list}:{}", index.get())
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

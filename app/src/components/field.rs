//! A field of a form: its label, hint, control and problem.

use super::form::Form;
use super::form_data::{field_id, field_name, lines};
use crate::domain::Draft;
use leptos::prelude::*;

/// Where a field stands in the draft; of a row it moves with the row.
#[derive(Clone, Copy)]
struct Path {
    row: Option<(&'static str, ReadSignal<usize>)>,
    field: &'static str,
}

impl Path {
    fn get(self) -> String {
        match self.row {
            None => self.field.to_owned(),
            Some((list, index)) => format!("{list}[{}].{}", index.get(), self.field),
        }
    }
}

/// How a value is typed.
#[derive(Clone)]
pub enum Control {
    /// One line; the type of the input.
    Line(&'static str),
    /// A number.
    Number,
    /// Several lines, so many shown.
    Area(u32),
    /// One of several: word and label.
    Select(Vec<(String, String)>),
    /// Yes or no.
    Tick,
}

/// A field with its label, hint and problem.
#[derive(Clone)]
pub struct Field {
    path: Path,
    label: &'static str,
    control: Control,
    value: Option<String>,
    hint: &'static str,
    required: bool,
    class: &'static str,
    autocomplete: Option<&'static str>,
    on: bool,
}

impl Field {
    /// A field of the draft itself.
    #[must_use]
    pub fn new(field: &'static str, label: &'static str, control: Control) -> Self {
        let path = Path { row: None, field };
        Self {
            path,
            label,
            control,
            value: None,
            hint: "",
            required: false,
            class: "",
            autocomplete: None,
            on: false,
        }
    }

    /// A field of a row, with the value it begins with.
    #[must_use]
    pub fn of_row(
        list: &'static str,
        index: ReadSignal<usize>,
        field: &'static str,
        label: &'static str,
        control: Control,
        row: &Draft,
    ) -> Self {
        let value = Some(row.text(field));
        let on = row.flag(field, true);
        let path = Path { row: Some((list, index)), field };
        Self { path, value, on, ..Self::new(field, label, control) }
    }

    /// A sentence that helps.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Must be filled in.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// A class of the style sheet: `wide`, `mono`, `narrow`.
    #[must_use]
    pub fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }

    /// What a password manager should fill in.
    #[must_use]
    pub fn autocomplete(self, what: &'static str) -> Self {
        Self { autocomplete: Some(what), ..self }
    }

    /// Another value to begin with than the draft's.
    #[must_use]
    pub fn value(self, value: String) -> Self {
        Self { value: Some(value), ..self }
    }

    /// Ticked where the draft says nothing.
    #[must_use]
    pub fn on(self) -> Self {
        Self { on: true, ..self }
    }

    /// Draws it.
    pub fn show(self, form: Form) -> AnyView {
        let (path, hint) = (self.path, self.hint);
        let id = move || field_id(&path.get());
        let name = move || field_name(&path.get());
        let problem = move || form.message(&path.get());
        let invalid = move || problem().map(|_| "true");
        let described = move || {
            let id = id();
            let hint = (!hint.is_empty()).then(|| format!("{id}-hint"));
            let problem = problem().map(|_| format!("{id}-problem"));
            match (hint, problem) {
                (None, None) => None,
                (Some(one), None) | (None, Some(one)) => Some(one),
                (Some(hint), Some(problem)) => Some(format!("{hint} {problem}")),
            }
        };
        let ticked = match path.row {
            None => form.draft(|draft| draft.flag(path.field, self.on)),
            Some(_) => self.on,
        };
        let value = self.value.unwrap_or_else(|| form.draft(|draft| lines(draft, self.path.field)));
        let required = self.required.then_some("true");
        let control = match self.control {
            Control::Line(kind) => view! {
                <input type=kind id=id name=name value=value aria-invalid=invalid
                    aria-required=required aria-describedby=described
                    autocomplete=self.autocomplete.unwrap_or("off")/>
            }
            .into_any(),
            Control::Number => view! {
                <input type="text" inputmode="decimal" id=id name=name value=value
                    aria-invalid=invalid aria-required=required aria-describedby=described
                    autocomplete="off" class="number"/>
            }
            .into_any(),
            Control::Area(rows) => view! {
                <textarea id=id name=name rows=rows.to_string() aria-invalid=invalid
                    aria-required=required aria-describedby=described
                    inner_html=area_html(&value)></textarea>
            }
            .into_any(),
            Control::Select(options) => {
                let options = options.into_iter().map(|(word, label)| {
                    let chosen = word == value;
                    view! { <option value=word selected=chosen>{label}</option> }
                });
                view! {
                    <select id=id name=name aria-invalid=invalid aria-required=required
                        aria-describedby=described>
                        {options.collect_view()}
                    </select>
                }
                .into_any()
            }
            Control::Tick => {
                return view! {
                    <div class=format!("field tick {}", self.class)>
                        <input type="hidden" name=name value="false"/>
                        <input type="checkbox" id=id name=name value="true" checked=ticked
                            aria-describedby=described/>
                        <label for=id>{self.label}</label>
                        {hint_of(hint, id)}
                    </div>
                }
                .into_any();
            }
        };
        let needed = self.required.then(|| view! { <span class="hint">" · required"</span> });
        view! {
            <div class=format!("field {}", self.class)>
                <label for=id>{self.label} {needed}</label>
                {control}
                {hint_of(hint, id)}
                {move || problem().map(|text| view! {
                    <p class="problem" id=format!("{}-problem", id())>{text}</p>
                })}
            </div>
        }
        .into_any()
    }
}

fn hint_of(hint: &'static str, id: impl Fn() -> String + Send + Sync + 'static) -> AnyView {
    if hint.is_empty() {
        return ().into_any();
    }
    view! { <p class="hint" id=move || format!("{}-hint", id())>{hint}</p> }.into_any()
}

/// The content of a text area. As HTML, since an empty text node would come
/// back from the server as a space; the parser drops a first line break, so
/// the server writes one.
fn area_html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    if cfg!(feature = "ssr") { format!("\n{escaped}") } else { escaped }
}

/// Word and label of each value.
#[must_use]
pub fn options<T: Copy>(all: &[(&str, T)], label: fn(T) -> &'static str) -> Control {
    Control::Select(
        all.iter().map(|(word, v)| ((*word).to_owned(), label(*v).to_owned())).collect(),
    )
}

//! Form fields: label, hint, control and validation message.

use super::form::Form;
use super::form_data::{field_id, field_name, lines};
use crate::domain::{Draft, ReasoningEffort};
use leptos::prelude::*;

/// The path of a field in the draft. Fields of a row move with the row.
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

#[derive(Clone)]
pub enum Control {
    /// A single-line input with its `type`.
    Input(&'static str),
    Number,
    /// A text area with its number of rows.
    TextArea(u32),
    /// Pairs of value and label.
    Select(Vec<(String, String)>),
    Checkbox,
}

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
    /// The ID of a `datalist` with suggestions.
    suggestions: Option<&'static str>,
    checked_by_default: bool,
}

impl Field {
    /// A top-level field of the draft.
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
            suggestions: None,
            checked_by_default: false,
        }
    }

    /// A field of a row with its initial value.
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
        let checked_by_default = row.flag(field, true);
        let path = Path { row: Some((list, index)), field };
        Self { path, value, checked_by_default, ..Self::new(field, label, control) }
    }

    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// A CSS class: `wide`, `mono`, `narrow`.
    #[must_use]
    pub fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }

    #[must_use]
    pub fn autocomplete(self, token: &'static str) -> Self {
        Self { autocomplete: Some(token), ..self }
    }

    /// Suggests the options of the `datalist` with this ID.
    #[must_use]
    pub fn suggestions(self, list: &'static str) -> Self {
        Self { suggestions: Some(list), ..self }
    }

    /// Overrides the initial value of the draft.
    #[must_use]
    pub fn value(self, value: String) -> Self {
        Self { value: Some(value), ..self }
    }

    /// A checkbox is checked if the draft has no value.
    #[must_use]
    pub fn checked_by_default(self) -> Self {
        Self { checked_by_default: true, ..self }
    }

    /// Renders the field.
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
        let checked = match path.row {
            None => form.draft(|draft| draft.flag(path.field, self.checked_by_default)),
            Some(_) => self.checked_by_default,
        };
        let value = self.value.unwrap_or_else(|| form.draft(|draft| lines(draft, self.path.field)));
        let required = self.required.then_some("true");
        let control = match self.control {
            Control::Input(kind) => view! {
                <input type=kind id=id name=name value=value aria-invalid=invalid
                    aria-required=required aria-describedby=described
                    list=self.suggestions autocomplete=self.autocomplete.unwrap_or("off")/>
            }
            .into_any(),
            Control::Number => view! {
                <input type="text" inputmode="decimal" id=id name=name value=value
                    aria-invalid=invalid aria-required=required aria-describedby=described
                    autocomplete="off" class="number"/>
            }
            .into_any(),
            Control::TextArea(rows) => view! {
                <textarea id=id name=name rows=rows.to_string() aria-invalid=invalid
                    aria-required=required aria-describedby=described
                    inner_html=textarea_html(&value)></textarea>
            }
            .into_any(),
            Control::Select(options) => {
                let options = options.into_iter().map(|(option, label)| {
                    let selected = option == value;
                    view! { <option value=option selected=selected>{label}</option> }
                });
                view! {
                    <select id=id name=name aria-invalid=invalid aria-required=required
                        aria-describedby=described>
                        {options.collect_view()}
                    </select>
                }
                .into_any()
            }
            Control::Checkbox => {
                return view! {
                    <div class=format!("field checkbox {}", self.class)>
                        <input type="hidden" name=name value="false"/>
                        <input type="checkbox" id=id name=name value="true" checked=checked
                            aria-describedby=described/>
                        <label for=id>{self.label}</label>
                        {hint_of(hint, id)}
                    </div>
                }
                .into_any();
            }
        };
        let required_mark =
            self.required.then(|| view! { <span class="hint">" · required"</span> });
        view! {
            <div class=format!("field {}", self.class)>
                <label for=id>{self.label} {required_mark}</label>
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

/// The content of a text area as HTML, because the server renders an empty text
/// node as a space. The HTML parser drops a leading line break, so the server
/// writes one.
fn textarea_html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    if cfg!(feature = "ssr") { format!("\n{escaped}") } else { escaped }
}

/// A select over the reasoning efforts, and none of them.
#[must_use]
pub fn efforts() -> Control {
    let efforts = ReasoningEffort::ALL.iter();
    let mut choices = vec![(String::new(), "Provider’s default".to_owned())];
    choices.extend(efforts.map(|(name, effort)| ((*name).to_owned(), effort.label().to_owned())));
    Control::Select(choices)
}

/// A select over all values of an enum.
#[must_use]
pub fn options<T: Copy>(all: &[(&str, T)], label: fn(T) -> &'static str) -> Control {
    Control::Select(
        all.iter().map(|(name, v)| ((*name).to_owned(), label(*v).to_owned())).collect(),
    )
}

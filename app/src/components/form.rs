//! Forms: plain ones that post, whose fields know their path in the draft,
//! show the problem of that path beside themselves, and are checked again as
//! they are corrected. Without WASM the server does the same with a redirect.

use super::browser;
use super::form_data::{capital, field_id, field_name, lines, spoken, to_draft};
use super::load::{Data, ask};
use crate::backend::Rejected;
use crate::domain::{Draft, Problem, Problems};
use crate::server_fns::Ask;
use leptos::ev::{Event, SubmitEvent};
use leptos::prelude::*;

/// Id of the error summary.
const SUMMARY: &str = "error-summary";

/// The check of a form's draft in the browser; the server checks again.
pub type Checker = fn(&Draft) -> Problems;

/// What the fields of a form share.
#[derive(Clone, Copy)]
pub struct Form {
    problems: RwSignal<Problems>,
    asked: RwSignal<bool>,
    draft: StoredValue<Draft>,
    detail: StoredValue<(String, Option<String>)>,
    check: Checker,
}

impl Form {
    /// A form that shows `draft`, or what was rejected before.
    #[must_use]
    pub fn new(draft: Draft, rejected: Option<Rejected>, check: Checker) -> Self {
        let rejected = rejected.unwrap_or_default();
        let asked = !rejected.problems.is_empty();
        let draft = if is_of_form(&rejected.draft) { rejected.draft } else { draft };
        Self {
            problems: RwSignal::new(rejected.problems),
            asked: RwSignal::new(asked),
            draft: StoredValue::new(draft),
            detail: StoredValue::new((rejected.detail, rejected.link)),
            check,
        }
    }

    /// A look at the draft it began with.
    pub fn draft<T>(self, look: impl FnOnce(&Draft) -> T) -> T {
        self.draft.with_value(look)
    }

    /// On submit: problems stop it and are shown, otherwise the browser posts.
    pub fn submitted(self, event: &SubmitEvent) {
        let Some(form) = browser::form_of(event) else { return };
        let problems = (self.check)(&to_draft(&browser::form_entries(&form)));
        if problems.is_empty() {
            return;
        }
        event.prevent_default();
        self.detail.set_value((String::new(), None));
        self.asked.set(true);
        self.problems.set(problems);
        browser::focus_soon(SUMMARY.to_owned());
    }

    /// On input: once something was rejected, what is corrected is checked.
    pub fn corrected(self, event: &Event) {
        if !self.asked.get_untracked() {
            return;
        }
        let Some(form) = browser::form_of(event) else { return };
        let problems = (self.check)(&to_draft(&browser::form_entries(&form)));
        if problems != self.problems.get_untracked() {
            self.problems.set(problems);
        }
    }

    /// The problem of a path, in words.
    fn message(self, path: &str) -> Option<String> {
        self.problems.with(|problems| {
            let of = |p: &&Problem| {
                p.path == path
                    || p.path
                        .strip_prefix(path)
                        .is_some_and(|rest| rest.starts_with('[') && !rest.contains('.'))
            };
            let found: Vec<_> = problems.iter().filter(of).map(|p| p.message.as_str()).collect();
            (!found.is_empty()).then(|| format!("{}.", capital(&found.join("; "))))
        })
    }

    /// What is wrong, all of it, with links to the fields.
    pub fn summary(self) -> AnyView {
        Effect::new(move |before: Option<()>| {
            let any = self.problems.with_untracked(|problems| !problems.is_empty());
            if before.is_none() && (any || self.detail.with_value(|d| !d.0.is_empty())) {
                browser::focus_soon(SUMMARY.to_owned());
            }
        });
        let shown = move || {
            let problems = self.problems.get();
            let (detail, link) = self.detail.get_value();
            if problems.is_empty() && (detail.is_empty() || self.asked.get()) {
                return ().into_any();
            }
            let title = match problems.len() {
                0 => detail,
                1 => "One thing needs a correction".to_owned(),
                n => format!("{n} things need a correction"),
            };
            let items = problems.iter().map(|p| {
                let href = format!("#{}", field_id(&p.path));
                let path = spoken(&p.path);
                let text = if path.is_empty() {
                    capital(&p.message)
                } else {
                    format!("{path}: {}", p.message)
                };
                view! { <li><a href=href rel="external">{text}</a></li> }
            });
            let link = link.map(|link| {
                view! { <p><a href=link>"Look at it"</a></p> }
            });
            view! {
                <div class="errors" role="alert" id=SUMMARY tabindex="-1">
                    <h2>{title}</h2>
                    <ul>{items.collect_view()}</ul>
                    {link}
                </div>
            }
            .into_any()
        };
        shown.into_any()
    }

    /// The problem of a whole list, beside its heading.
    pub fn list_problem(self, list: &'static str) -> AnyView {
        let shown = move || {
            self.problems.with(|problems| {
                problems.iter().find(|p| p.path == list).map(|p| {
                    view! { <p class="problem">{format!("{}.", capital(&p.message))}</p> }
                })
            })
        };
        shown.into_any()
    }
}

/// Whether what was refused is this form's own content: a button beside it
/// (delete, duplicate) comes back with nothing to show but a sentence.
fn is_of_form(draft: &Draft) -> bool {
    ["name", "email", "judge", "agent_id"].iter().any(|field| draft.at(field).is_some())
}

/// Where a field stands in the draft; of a row it moves with the row.
#[derive(Clone, Copy)]
pub struct Path {
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

/// A form without a check of its own.
#[must_use]
pub fn unchecked(_: &Draft) -> Problems {
    Problems::new()
}

/// Why a button of this page was refused, where the page has no form of its
/// own to say so.
pub fn refusal() -> AnyView {
    let query = leptos_router::hooks::use_query_map();
    let data: Data<Option<Rejected>> =
        ask(move || Ask::Refused { draft: query.with(|query| query.get("draft")) });
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let rejected = data.wait().await.ok().flatten();
                rejected.map(|rejected| Form::new(Draft::default(), Some(rejected), unchecked).summary())
            })}
        </Transition>
    }
    .into_any()
}

/// A form with nothing but a button: an action on something.
pub fn action_button(
    action: String,
    label: &'static str,
    class: &'static str,
    hidden: Vec<(&'static str, String)>,
) -> AnyView {
    let hidden = hidden
        .into_iter()
        .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
        .collect_view();
    view! {
        <form method="post" action=action class="inline">
            {hidden}
            <button type="submit" class=class>{label}</button>
        </form>
    }
    .into_any()
}

/// Deleting in two steps, without a script: the first shows the second.
pub fn delete_button(action: String, what: &'static str, hint: &'static str) -> AnyView {
    view! {
        <details class="confirm">
            <summary class="button">"Delete…"</summary>
            <form method="post" action=action>
                <p>{hint}</p>
                <button type="submit" class="danger">{what}</button>
            </form>
        </details>
    }
    .into_any()
}

//! Plain HTML forms that post. Each field knows its path in the draft and shows
//! the validation problems of that path. With WASM a form is validated before it
//! posts and while it is corrected; without, the server redirects back with the
//! same problems.

use super::browser;
pub use super::field::{Control, Field, efforts, options};
use super::form_data::{capitalize, display_path};
use super::form_order::{FieldOrder, link_target, sort_problems};
use super::page_data::{load, saved_form_param};
use crate::domain::{Draft, Problem, Problems, form};
use crate::server_fns::RejectionQuery;
use crate::services::SavedForm;
use leptos::ev::{Event, SubmitEvent};
use leptos::prelude::*;

/// ID of the error summary.
const SUMMARY: &str = "error-summary";

/// Validates a draft in the browser. The server validates it again.
pub type Validator = fn(&Draft) -> Problems;

/// State that the fields of a form share.
#[derive(Clone, Copy)]
pub struct Form {
    problems: RwSignal<Problems>,
    /// Whether a submit was rejected before, so that input is validated.
    validates_input: RwSignal<bool>,
    draft: StoredValue<Draft>,
    detail: StoredValue<(String, Option<String>)>,
    validate: Validator,
    order: FieldOrder,
}

impl Form {
    /// A form that shows `draft`, or the rejected draft instead.
    #[must_use]
    pub fn new(draft: Draft, rejected: Option<SavedForm>, validate: Validator) -> Self {
        let rejected = rejected.unwrap_or_default();
        let validates_input = !rejected.problems.is_empty();
        let draft = if is_of_form(&rejected.draft) { rejected.draft } else { draft };
        Self {
            problems: RwSignal::new(rejected.problems),
            validates_input: RwSignal::new(validates_input),
            draft: StoredValue::new(draft),
            detail: StoredValue::new((rejected.detail, rejected.link)),
            validate,
            order: &[],
        }
    }

    /// Lists the problems in the order of the fields on the page.
    #[must_use]
    pub fn in_order(self, order: FieldOrder) -> Self {
        self.problems.update_untracked(|problems| sort_problems(order, problems));
        Self { order, ..self }
    }

    /// Reads the initial draft.
    pub fn draft<T>(self, read: impl FnOnce(&Draft) -> T) -> T {
        self.draft.with_value(read)
    }

    /// Submit handler: prevents the post and shows the problems, if there are any.
    pub fn on_submit(self, event: &SubmitEvent) {
        let Some(problems) = self.problems_of(event) else { return };
        if problems.is_empty() {
            return;
        }
        event.prevent_default();
        self.detail.set_value((String::new(), None));
        self.validates_input.set(true);
        self.problems.set(problems);
        browser::focus_after_render(SUMMARY.to_owned());
    }

    /// Input handler: validates again after a rejected submit.
    pub fn on_input(self, event: &Event) {
        if !self.validates_input.get_untracked() {
            return;
        }
        let Some(problems) = self.problems_of(event) else { return };
        if problems != self.problems.get_untracked() {
            self.problems.set(problems);
        }
    }

    /// Validates the form that sent the event. `None` if its fields cannot be
    /// parsed: the form then posts, and the server answers with the reason.
    fn problems_of(self, event: &Event) -> Option<Problems> {
        let mut problems = (self.validate)(&draft_of(event)?);
        sort_problems(self.order, &mut problems);
        Some(problems)
    }

    /// The validation message of a path, including problems of its list items.
    #[must_use]
    pub fn message(self, path: &str) -> Option<String> {
        self.problems.with(|problems| {
            let of = |p: &&Problem| {
                p.path == path
                    || p.path
                        .strip_prefix(path)
                        .is_some_and(|rest| rest.starts_with('[') && !rest.contains('.'))
            };
            let found: Vec<_> = problems.iter().filter(of).map(|p| p.message.as_str()).collect();
            (!found.is_empty()).then(|| format!("{}.", capitalize(&found.join("; "))))
        })
    }

    /// All problems, with links to the fields.
    pub fn summary(self) -> AnyView {
        Effect::new(move |before: Option<()>| {
            let any = self.problems.with_untracked(|problems| !problems.is_empty());
            if before.is_none() && (any || self.detail.with_value(|d| !d.0.is_empty())) {
                browser::focus_after_render(SUMMARY.to_owned());
            }
        });
        let shown = move || {
            let problems = self.problems.get();
            let (detail, link) = self.detail.get_value();
            if problems.is_empty() && (detail.is_empty() || self.validates_input.get()) {
                return ().into_any();
            }
            let title = match problems.len() {
                0 => detail,
                1 => "1 problem to fix".to_owned(),
                n => format!("{n} problems to fix"),
            };
            let items = problems.iter().map(|p| {
                let path = display_path(&p.path);
                let text = if path.is_empty() {
                    capitalize(&p.message)
                } else {
                    format!("{path}: {}", p.message)
                };
                match link_target(self.order, &p.path) {
                    Some(id) => {
                        let href = format!("#{id}");
                        view! { <li><a href=href rel="external">{text}</a></li> }.into_any()
                    }
                    None => view! { <li>{text}</li> }.into_any(),
                }
            });
            let link = link.map(|link| {
                view! { <p><a href=link>"View details"</a></p> }
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

    /// The problem of a whole list.
    pub fn list_problem(self, list: &'static str) -> AnyView {
        let shown = move || {
            self.problems.with(|problems| {
                problems.iter().find(|p| p.path == list).map(|p| {
                    view! { <p class="problem">{format!("{}.", capitalize(&p.message))}</p> }
                })
            })
        };
        shown.into_any()
    }
}

/// The current content of the form that sent the event; `None` if its fields cannot be
/// parsed.
#[must_use]
pub fn draft_of(event: &Event) -> Option<Draft> {
    let entries = browser::form_entries(&browser::form_of(event)?);
    form::parse(entries).ok()
}

/// Whether a rejected draft has the content of this form. Other buttons of the
/// page (delete, duplicate) are rejected with a message only.
fn is_of_form(draft: &Draft) -> bool {
    ["name", "email", "judge", "agent_id", "prices", "daily_budget_usd"]
        .iter()
        .any(|field| draft.at(field).is_some())
}

/// For forms that only the server validates.
#[must_use]
pub fn skip_validation(_: &Draft) -> Problems {
    Problems::new()
}

/// The reason why a button of this page was rejected, for pages without a form.
pub fn rejection() -> AnyView {
    let saved_form = saved_form_param();
    let data = load(move || RejectionQuery { saved_form: saved_form.get() });
    view! {
        <Transition>
            {move || Suspend::new(async move {
                let rejected = data.wait().await.ok().flatten();
                rejected.map(|rejected| Form::new(Draft::default(), Some(rejected), skip_validation).summary())
            })}
        </Transition>
    }
    .into_any()
}

/// The version that a form is based on, as a hidden `field`. `shown` is the
/// version of a rejected draft. If it is not the newest, a conflict is shown: a
/// link opens the newest version, and a button saves the draft over it. The value
/// of the button follows the hidden one in the post, and the last value counts.
pub fn version_field(
    field: &'static str,
    shown: Option<String>,
    newest: String,
    url: String,
    save: String,
    differs: String,
) -> AnyView {
    let shown = shown.filter(|shown| !shown.is_empty()).unwrap_or_else(|| newest.clone());
    let conflict = (shown != newest).then(|| {
        let differs = (!differs.is_empty())
            .then(|| view! { <p>"The newest version differs from yours in: " {differs} "."</p> });
        view! {
            <div class="warning conflict">
                <p>"A newer version was saved while you were editing. Your changes are below and are not saved yet."</p>
                {differs}
                <p>
                    <a href=url.clone() target="_blank" rel="external">"Open the newest version in a new tab"</a>
                    " · " <a href=url rel="external">"Discard my changes"</a>
                </p>
                <button type="submit" name=field value=newest>{save}</button>
            </div>
        }
    });
    view! { <input type="hidden" name=field value=shown/> {conflict} }.into_any()
}

/// The [`version_field`] of an object with revisions. A rejected draft keeps the
/// revision it was based on, so that a conflict shows.
pub fn revision_field(
    newest: u32,
    rejected: Option<&SavedForm>,
    url: String,
    differs: String,
) -> AnyView {
    let shown = rejected.map(|rejected| rejected.draft.text("revision"));
    let save = format!("Save my version as revision {}", newest + 1);
    version_field("revision", shown, newest.to_string(), url, save, differs)
}

pub fn revision_hint(revision: u32) -> AnyView {
    view! {
        <p class="hint">
            "Revision " {revision} ". Saving creates a new revision; past runs keep the one they used."
        </p>
    }
    .into_any()
}

/// A button that posts an action.
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

/// A delete button with confirmation that works without JavaScript.
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

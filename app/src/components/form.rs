//! Forms: plain ones that post, whose fields know their path in the draft,
//! show the problem of that path beside themselves, and are checked again as
//! they are corrected. Without WASM the server does the same with a redirect.

use super::browser;
pub use super::field::{Control, Field, options};
use super::form_data::{capital, field_id, spoken, to_draft};
use super::load::{Data, ask};
use crate::services::Rejected;
use crate::domain::{Draft, Problem, Problems};
use crate::server_fns::{RefusedQuery};
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
    pub(super) fn message(self, path: &str) -> Option<String> {
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
        ask(move || RefusedQuery { draft: query.with(|query| query.get("draft")) });
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

/// On which version of a thing its form rests, in the form's `field`. `shown` is
/// that of what was typed before, if anything was. Where it is not the newest,
/// neither version is lost: the newest opens beside, and one button saves what
/// was typed on top of it. Its value follows the form's own `field`, so it counts.
pub fn version(
    field: &'static str,
    shown: Option<String>,
    newest: String,
    here: String,
    save: String,
    differs: String,
) -> AnyView {
    let shown = shown.filter(|shown| !shown.is_empty()).unwrap_or_else(|| newest.clone());
    let late = (shown != newest).then(|| {
        let differs = (!differs.is_empty())
            .then(|| view! { <p>"The newest version differs from yours in: " {differs} "."</p> });
        view! {
            <div class="warning conflict">
                <p>"This was saved elsewhere in the meantime. What you typed stands below, and is not saved."</p>
                {differs}
                <p>
                    <a href=here.clone() target="_blank" rel="external">"See the newest version beside this one"</a>
                    " · " <a href=here rel="external">"Give up mine"</a>
                </p>
                <button type="submit" name=field value=newest>{save}</button>
            </div>
        }
    });
    view! { <input type="hidden" name=field value=shown/> {late} }.into_any()
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

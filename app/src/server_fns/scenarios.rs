//! Scenarios: the list and the editor.

use crate::backend::{Page, Rejected};
use crate::domain::{Run, Scenario};
use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::ask;

/// The filter as it stands in the address: words, nothing assumed of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterWords {
    /// Words in name or description.
    pub q: String,
    /// A category.
    pub category: String,
    /// A difficulty.
    pub difficulty: String,
    /// A tag.
    pub tag: String,
    /// `true`, `false` or nothing.
    pub built_in: String,
}

impl FilterWords {
    /// The filter; a word that is not known filters nothing.
    #[must_use]
    pub fn parse(&self) -> crate::domain::ScenarioFilter {
        let text = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        crate::domain::ScenarioFilter {
            category: crate::domain::Category::from_word(&self.category),
            difficulty: crate::domain::Difficulty::from_word(&self.difficulty),
            tag: text(&self.tag),
            q: text(&self.q),
            built_in: self.built_in.parse().ok(),
        }
    }

    /// Whether it filters nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parse() == crate::domain::ScenarioFilter::default()
    }

    /// Its fields and words, those that say something.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        [
            ("q", &self.q),
            ("category", &self.category),
            ("difficulty", &self.difficulty),
            ("tag", &self.tag),
            ("built_in", &self.built_in),
        ]
        .into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, value)| (name, value.clone()))
        .collect()
    }
}

/// What the editor of a scenario shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioData {
    /// The scenario as it is stored; `None` for a new one.
    pub scenario: Option<Scenario>,
    /// What was typed before and not accepted, or is only half done.
    pub rejected: Option<Rejected>,
    /// Its latest runs.
    pub runs: Vec<Run>,
}

/// Scenarios of a filter.
#[server(prefix = "/fn", endpoint = "scenarios", input = Json)]
pub async fn scenarios(
    words: FilterWords,
    after: Option<String>,
) -> Result<Page<Scenario>, AppError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    let cursor = crate::backend::Cursor { after, limit: Some(200) };
    ask::answered(backend.scenarios(&caller, &words.parse(), &cursor).await)
}

/// The editor of one scenario, or of a new one.
#[server(prefix = "/fn", endpoint = "scenario-form", input = Json)]
pub async fn scenario_form(
    id: Option<String>,
    draft: Option<String>,
) -> Result<ScenarioData, AppError> {
    let (backend, caller) = (ask::backend(), ask::caller()?);
    let rejected = ask::rejected(draft.as_deref()).await;
    let mut form = ScenarioData { scenario: None, rejected, runs: Vec::new() };
    if let Some(id) = id {
        let id = ask::answered(ask::id(&id, "scenario"))?;
        form.scenario = Some(ask::answered(backend.scenario(&caller, id).await)?);
        let filter = crate::backend::HistoryFilter { scenario: Some(id), ..Default::default() };
        let cursor = crate::backend::Cursor { after: None, limit: Some(10) };
        form.runs = ask::answered(backend.runs(&caller, &filter, &cursor).await)?.items;
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::FilterWords;

    #[test]
    fn unknown_words_filter_nothing() {
        let words = FilterWords { category: "nonsense".into(), ..FilterWords::default() };
        assert!(words.is_empty());
        let words = FilterWords { built_in: "true".into(), q: "  ".into(), ..words };
        assert_eq!(words.parse().built_in, Some(true));
        assert_eq!(words.parse().q, None);
    }
}

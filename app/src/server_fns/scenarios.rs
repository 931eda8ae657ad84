//! Scenarios: the list and the editor.

#[cfg(feature = "ssr")]
use crate::domain::ScenarioSpec;
use crate::domain::{Category, Difficulty, Draft, Mode, Run, ScenarioId};
#[cfg(feature = "ssr")]
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::Page;
use crate::services::Rejected;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{ScenarioQuery, ScenariosQuery, ask};

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
    /// Which one; `None` for a new one.
    pub scenario: Option<ScenarioHead>,
    /// It as it is stored, as a form shows it.
    pub stored: Draft,
    /// What was typed before and not accepted, or is only half done.
    pub rejected: Option<Rejected>,
    /// Where that differs from what is stored, in words.
    pub differs: String,
    /// Its latest runs.
    pub runs: Vec<Run>,
}

/// A scenario in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRow {
    /// Its id.
    pub id: ScenarioId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What it is about.
    pub category: Category,
    /// How hard.
    pub difficulty: Difficulty,
    /// Where its user turns come from.
    pub mode: Mode,
    /// User turns of its script, or the most there can be.
    pub turns: u32,
    /// Free labels.
    pub tags: Vec<String>,
    /// Whether "run all" takes it.
    pub is_active: bool,
    /// Whether it is built in.
    pub is_built_in: bool,
}

/// Which scenario is edited or read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioHead {
    /// Its id.
    pub id: ScenarioId,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// Whether it is built in.
    pub is_built_in: bool,
}

/// Scenarios of a filter.
#[cfg(feature = "ssr")]
pub(super) async fn scenarios(
    ScenariosQuery { words, after }: ScenariosQuery,
) -> Result<Page<ScenarioRow>, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let cursor = crate::services::Cursor { after, limit: Some(200) };
    let page = ask::answered(services.scenarios.scenarios(&caller, &words.parse(), &cursor).await)?;
    Ok(Page { items: page.items.into_iter().map(row).collect(), next: page.next })
}

#[cfg(feature = "ssr")]
fn row(scenario: crate::domain::Scenario) -> ScenarioRow {
    let spec = scenario.spec;
    let turns = match spec.mode {
        Mode::Scripted => u32::try_from(spec.script().count()).unwrap_or(u32::MAX),
        Mode::Simulated => spec.max_turns,
    };
    ScenarioRow {
        id: scenario.id,
        name: spec.name,
        description: spec.description,
        category: spec.category,
        difficulty: spec.difficulty,
        mode: spec.mode,
        turns,
        tags: spec.tags,
        is_active: spec.is_active,
        is_built_in: scenario.is_built_in,
    }
}

/// The editor of one scenario, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn scenario_form(
    ScenarioQuery { id, draft }: ScenarioQuery,
) -> Result<ScenarioData, AppError> {
    let (services, caller) = (ask::services(), ask::caller()?);
    let rejected = ask::rejected(draft.as_deref()).await;
    let mut form = ScenarioData {
        scenario: None,
        stored: Draft::default(),
        rejected,
        differs: String::new(),
        runs: Vec::new(),
    };
    if let Some(id) = id {
        let id = ask::answered(ask::id(&id, "scenario"))?;
        let scenario = ask::answered(services.scenarios.scenario(&caller, id).await)?;
        let spec = serde_json::to_value(&scenario.spec).unwrap_or_default();
        let typed = form.rejected.as_ref().map(|typed| ScenarioSpec::parse(&typed.draft));
        form.differs = ask::differs(&spec, typed);
        form.stored = crate::components::form_data::stored(spec);
        form.scenario = Some(ScenarioHead {
            id,
            name: scenario.spec.name,
            revision: scenario.revision,
            is_built_in: scenario.is_built_in,
        });
        let filter = crate::services::HistoryFilter { scenario: Some(id), ..Default::default() };
        let cursor = crate::services::Cursor { after: None, limit: Some(10) };
        form.runs = ask::answered(services.results.runs(&caller, &filter, &cursor).await)?.items;
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

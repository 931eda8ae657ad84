//! Scenarios: the list and the editor.

#[cfg(feature = "ssr")]
use crate::domain::ScenarioSpec;
use crate::domain::{Category, Difficulty, Draft, Mode, Run, ScenarioId};
#[cfg(feature = "ssr")]
use crate::error::AppError;
#[cfg(feature = "ssr")]
use crate::services::ListPage;
use crate::services::SavedForm;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::{ScenarioQuery, ScenariosQuery, request};

/// The filter as text from the address, not validated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioFilterParams {
    /// Text to search in name and description.
    pub q: String,
    pub category: String,
    pub difficulty: String,
    pub tag: String,
    /// `true`, `false` or empty.
    pub built_in: String,
}

impl ScenarioFilterParams {
    /// The parsed filter. Unknown values are ignored.
    #[must_use]
    pub fn parse(&self) -> crate::domain::ScenarioFilter {
        let text = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        crate::domain::ScenarioFilter {
            category: crate::domain::Category::parse(&self.category),
            difficulty: crate::domain::Difficulty::parse(&self.difficulty),
            tag: text(&self.tag),
            q: text(&self.q),
            built_in: self.built_in.parse().ok(),
        }
    }

    /// Whether the filter matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parse() == crate::domain::ScenarioFilter::default()
    }

    /// The non-empty fields with their values.
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

/// The data of the scenario editor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioData {
    pub scenario: Option<ScenarioHead>,
    /// The stored object in the shape of the form.
    pub stored: Draft,
    /// The rejected or unfinished input to restore.
    pub rejected: Option<SavedForm>,
    /// The differences between `rejected` and the stored object, as text.
    pub differs: String,
    pub runs: Vec<Run>,
}

/// A scenario in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRow {
    pub id: ScenarioId,
    pub name: String,
    pub description: String,
    pub category: Category,
    pub difficulty: Difficulty,
    pub mode: Mode,
    /// The number of user turns of the script, or the maximum in simulated mode.
    pub turns: u32,
    pub tags: Vec<String>,
    /// Whether "Run all" includes it.
    pub is_active: bool,
    pub is_built_in: bool,
}

/// The edited or shown scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioHead {
    pub id: ScenarioId,
    pub name: String,
    pub revision: u32,
    pub is_built_in: bool,
}

/// Scenarios that match a filter.
#[cfg(feature = "ssr")]
pub(super) async fn scenarios(
    ScenariosQuery { params, after }: ScenariosQuery,
) -> Result<ListPage<ScenarioRow>, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let cursor = crate::services::Cursor { after, limit: Some(200) };
    let page = services.scenarios.scenarios(&caller, &params.parse(), &cursor).await?;
    Ok(ListPage { items: page.items.into_iter().map(row).collect(), next: page.next })
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

/// The editor of a scenario, or of a new one.
#[cfg(feature = "ssr")]
pub(super) async fn scenario_form(
    ScenarioQuery { id, saved_form }: ScenarioQuery,
) -> Result<ScenarioData, AppError> {
    let (services, caller) = (request::services(), request::caller()?);
    let rejected = request::rejected(saved_form.as_deref()).await;
    let mut form = ScenarioData {
        scenario: None,
        stored: Draft::default(),
        rejected,
        differs: String::new(),
        runs: Vec::new(),
    };
    if let Some(id) = id {
        let id = request::id(&id, "scenario")?;
        let scenario = services.scenarios.scenario(&caller, id).await?;
        let spec = serde_json::to_value(&scenario.spec).unwrap_or_default();
        let typed = form.rejected.as_ref().map(|typed| ScenarioSpec::parse_form(&typed.draft));
        form.differs = request::differs(&spec, typed);
        form.stored = crate::components::form_data::editable_draft(spec);
        form.scenario = Some(ScenarioHead {
            id,
            name: scenario.spec.name,
            revision: scenario.revision,
            is_built_in: scenario.is_built_in,
        });
        let filter = crate::services::HistoryFilter { scenario: Some(id), ..Default::default() };
        let cursor = crate::services::Cursor { after: None, limit: Some(10) };
        form.runs = services.results.runs(&caller, &filter, &cursor).await?.items;
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::ScenarioFilterParams;

    #[test]
    fn unknown_filter_values_are_ignored() {
        let params =
            ScenarioFilterParams { category: "nonsense".into(), ..ScenarioFilterParams::default() };
        assert!(params.is_empty());
        let params = ScenarioFilterParams { built_in: "true".into(), q: "  ".into(), ..params };
        assert_eq!(params.parse().built_in, Some(true));
        assert_eq!(params.parse().q, None);
    }
}

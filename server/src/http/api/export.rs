//! Export: one's scenarios as documents that import reads again.

use super::Reply;
use super::scenarios::FilterParams;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Params;
use services::document_import::Format;
use domain::services::{AppResult, Caller, Cursor};
use domain::{Scenario, ScenarioFilter, ScenarioSpec};
use domain::error::{AppError, ErrorCode};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(export))
}

/// The words of an export, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read below
struct ExportParams {
    /// `yaml` (default) or `json`.
    format: Option<String>,
}

/// A document of an export.
#[derive(Serialize)]
struct Exported<'a> {
    kind: &'static str,
    #[serde(flatten)]
    spec: &'a ScenarioSpec,
}

/// Scenarios as YAML or JSON, in the form that import reads
///
/// One's own, unless `built_in` says otherwise.
#[utoipa::path(get, path = "/scenarios/export", tag = "scenarios",
    params(FilterParams, ExportParams),
    responses((status = 200, description = "The documents", content_type = "application/yaml")))]
async fn export(
    State(state): State<HttpState>,
    SignedIn(caller): SignedIn,
    params: Params,
) -> Reply<Response> {
    let formats = [("yaml", Format::Yaml), ("json", Format::Json)];
    let (mut filter, format) = params.read(|reader| {
        (ScenarioFilter::read(reader), reader.choice("format", &formats, Some(Format::Yaml)))
    })?;
    filter.built_in.get_or_insert(false);
    let scenarios = all(&state, &caller, &filter).await?;
    let json = format == Some(Format::Json);
    let text = if json { as_json(&scenarios) } else { as_yaml(&scenarios) }?;
    let kind = if json { "application/json" } else { "application/yaml" };
    let name = if json { "scenarios.json" } else { "scenarios.yaml" };
    let place = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, place)], text)
        .into_response())
}

async fn all(state: &HttpState, caller: &Caller, filter: &ScenarioFilter) -> AppResult<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    let mut cursor = Cursor { after: None, limit: Some(200) };
    loop {
        let page = state.services.scenarios.scenarios(caller, filter, &cursor).await?;
        scenarios.extend(page.items);
        match page.next {
            Some(next) => cursor.after = Some(next),
            None => return Ok(scenarios),
        }
    }
}

fn documents(scenarios: &[Scenario]) -> Vec<Exported<'_>> {
    scenarios.iter().map(|one| Exported { kind: "scenario", spec: &one.spec }).collect()
}

fn as_json(scenarios: &[Scenario]) -> AppResult<String> {
    serde_json::to_string_pretty(&documents(scenarios)).map_err(|error| unwritable(&error))
}

fn as_yaml(scenarios: &[Scenario]) -> AppResult<String> {
    serde_saphyr::to_string(&documents(scenarios)).map_err(|error| unwritable(&error))
}

fn unwritable(error: &dyn std::error::Error) -> AppError {
    tracing::error!(%error, "an export could not be written");
    AppError::new(ErrorCode::Internal, "The export could not be written.")
}

#[cfg(test)]
mod tests {
    use super::{as_json, as_yaml};
    use services::document_import::{Format, read};
    use domain::{Draft, Scenario, ScenarioId, ScenarioSpec, Timestamp};
    use proptest::prelude::*;
    use serde_json::json;

    /// A scenario with `words` wherever free text may stand.
    fn scenario(words: &str) -> Option<Scenario> {
        let draft = json!({
            "name": format!("N {}", words.replace(char::is_control, " ")).trim(),
            "category": "booking",
            "description": words,
            "conversation_flow": [
                {"speaker": "user", "message": format!("{words}.")},
                {"speaker": "agent", "message": format!("- {words}")},
            ],
            "expected_behaviors": [{"text": format!("{words}:"), "required": false}],
            "failure_conditions": ["yes", "null", "0x1F", "~"],
            "tool_mocks": [{"tool": "t", "when": {"a": words}, "result": {"b": [1, 2.5, null]}}],
        });
        let spec = ScenarioSpec::parse(&Draft(draft)).ok()?;
        Some(Scenario {
            id: ScenarioId(uuid::Uuid::nil()),
            revision: 1,
            slug: None,
            is_built_in: false,
            updated_at: Timestamp(0),
            spec,
        })
    }

    fn comes_back(scenario: &Scenario) -> Result<(), TestCaseError> {
        let scenarios = std::slice::from_ref(scenario);
        for (text, format) in
            [(as_yaml(scenarios), Format::Yaml), (as_json(scenarios), Format::Json)]
        {
            let text = text.expect("an export");
            let drafts = read("", &text, format)
                .map_err(|error| TestCaseError::fail(format!("{error} in {text}")))?;
            let again = ScenarioSpec::parse(&drafts[0]);
            prop_assert_eq!(again.as_ref(), Ok(&scenario.spec), "{}", text);
        }
        Ok(())
    }

    #[test]
    fn what_yaml_could_misread_comes_back() {
        for words in
            ["no", "1e3", "# not a comment", "a: b", "line\nline\n", " \"'|>", "{{x}}", "é…"]
        {
            comes_back(&scenario(words).expect("valid")).expect(words);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_exported_can_be_imported(words in "\\PC{0,40}") {
            if let Some(scenario) = scenario(&words) {
                comes_back(&scenario)?;
            }
        }
    }
}

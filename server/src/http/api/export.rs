//! Export in the format of import.

use super::ApiResult;
use super::scenarios::FilterParams;
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::Params;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::error::{AppError, ErrorCode};
use domain::services::{AppResult, Cursor};
use domain::{DraftReader, Scenario, ScenarioFilter, ScenarioSpec};
use serde::Serialize;
use services::document_import::Format;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(export))
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // describes parameters; they are read below
pub(super) struct ExportParams {
    /// `yaml` (default) or `json`.
    format: Option<String>,
}

#[derive(Serialize)]
struct Exported<'a> {
    kind: &'static str,
    #[serde(flatten)]
    spec: &'a ScenarioSpec,
}

/// Export scenarios as YAML or JSON, in the format of import
///
/// Exports the caller's scenarios unless `built_in` is true.
#[utoipa::path(get, path = "/scenarios/export", tag = "scenarios",
    params(FilterParams, ExportParams),
    responses((status = 200, description = "The documents", content_type = "application/yaml")))]
async fn export(user: SignedIn, params: Params) -> ApiResult<Response> {
    let (mut filter, format) =
        params.read(|reader| (ScenarioFilter::read(reader), format(reader)))?;
    filter.built_in.get_or_insert(false);
    let scenarios = all_pages(&user, &filter).await?;
    Ok(download("scenarios", &documents(&scenarios), format)?)
}

/// The format of the parameter `format`.
pub(super) fn format(reader: &mut DraftReader<'_>) -> Format {
    let formats = [("yaml", Format::Yaml), ("json", Format::Json)];
    reader.choice("format", &formats, Some(Format::Yaml)).unwrap_or(Format::Yaml)
}

/// The documents as a file with this name.
pub(super) fn download(
    name: &str,
    documents: &[impl Serialize],
    format: Format,
) -> AppResult<Response> {
    let text = encode(documents, format)?;
    let ending = if format == Format::Json { "json" } else { "yaml" };
    let disposition = format!("attachment; filename=\"{name}.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, format!("application/{ending}")),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, text).into_response())
}

/// The documents as text.
pub(super) fn encode(documents: &[impl Serialize], format: Format) -> AppResult<String> {
    let failed = |error: &dyn std::error::Error| {
        tracing::error!(%error, "export failed");
        AppError::new(ErrorCode::Internal, "The export failed.")
    };
    match format {
        Format::Json => serde_json::to_string_pretty(documents).map_err(|error| failed(&error)),
        _ => serde_saphyr::to_string(&documents).map_err(|error| failed(&error)),
    }
}

async fn all_pages(user: &SignedIn, filter: &ScenarioFilter) -> AppResult<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    let mut cursor = Cursor { after: None, limit: Some(200) };
    loop {
        let page = user.services.scenarios.scenarios(&user.caller, filter, &cursor).await?;
        scenarios.extend(page.items);
        match page.next {
            Some(next) => cursor.after = Some(next),
            None => return Ok(scenarios),
        }
    }
}

fn documents(scenarios: &[Scenario]) -> Vec<Exported<'_>> {
    scenarios.iter().map(|scenario| Exported { kind: "scenario", spec: &scenario.spec }).collect()
}

#[cfg(test)]
mod tests {
    use super::{documents, encode};
    use domain::{Draft, Scenario, ScenarioId, ScenarioSpec, Timestamp};
    use proptest::prelude::*;
    use serde_json::json;
    use services::document_import::{Format, ImportFile, read_files};

    /// A scenario with `text` in every free-text field.
    fn scenario(text: &str) -> Option<Scenario> {
        let draft = json!({
            "name": format!("N {}", text.replace(char::is_control, " ")).trim(),
            "category": "booking",
            "description": text,
            "conversation_flow": [
                {"speaker": "user", "message": format!("{text}.")},
                {"speaker": "agent", "message": format!("- {text}")},
            ],
            "expected_behaviors": [{"text": format!("{text}:"), "required": false}],
            "failure_conditions": ["yes", "null", "0x1F", "~"],
            "tool_mocks": [{"tool": "t", "when": {"a": text}, "result": {"b": [1, 2.5, null]}}],
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

    fn assert_round_trip(scenario: &Scenario) -> Result<(), TestCaseError> {
        let documents = documents(std::slice::from_ref(scenario));
        for format in [Format::Yaml, Format::Json] {
            let text = encode(&documents, format).expect("an export");
            let file = ImportFile { name: String::new(), text: text.clone(), format };
            let read = read_files(&[file])
                .map_err(|error| TestCaseError::fail(format!("{error} in {text}")))?;
            let imported = ScenarioSpec::parse(&read.documents[0]);
            prop_assert_eq!(imported.as_ref(), Ok(&scenario.spec), "{}", text);
        }
        Ok(())
    }

    #[test]
    fn ambiguous_yaml_round_trips() {
        for text in
            ["no", "1e3", "# not a comment", "a: b", "line\nline\n", " \"'|>", "{{x}}", "é…"]
        {
            assert_round_trip(&scenario(text).expect("valid")).expect(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn exported_scenarios_can_be_imported(text in "\\PC{0,40}") {
            if let Some(scenario) = scenario(&text) {
                assert_round_trip(&scenario)?;
            }
        }
    }
}

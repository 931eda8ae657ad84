//! The JSON fields of the scenario form. The browser and the server read them with this
//! code.

use super::problem::{Problem, Problems};
use super::{Draft, ScenarioSpec};
use serde_json::{Value, json};

impl ScenarioSpec {
    /// Validates the form of a scenario.
    ///
    /// # Errors
    /// All problems of the form.
    pub fn parse_form(form: &Draft) -> Result<Self, Problems> {
        Self::parse(&Self::form_to_document(form)?)
    }

    /// Validates the form of a scenario and returns the document that it describes.
    ///
    /// In the form, the result of a mock is JSON text. In a document it is any JSON value,
    /// so that the text `5` in the form is the number 5.
    ///
    /// # Errors
    /// All problems of the form.
    pub fn form_to_document(form: &Draft) -> Result<Draft, Problems> {
        let mut document = form.clone();
        let mut problems = Problems::new();
        let mocks = document.0.get_mut("tool_mocks").and_then(Value::as_array_mut);
        for (index, mock) in mocks.into_iter().flatten().enumerate() {
            let Some(result) = mock.get_mut("result") else { continue };
            let Some(text) = result.as_str().filter(|text| !text.trim().is_empty()) else {
                continue;
            };
            *result = match serde_json::from_str(text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    let message = format!(
                        "must be JSON, such as {{\"status\": \"ok\"}} or \"text in quotes\": {error}"
                    );
                    problems.push(Problem::new(format!("tool_mocks[{index}].result"), message));
                    // Not reported as missing too.
                    json!({})
                }
            };
        }
        problems.extend(Self::parse(&document).err().unwrap_or_default());
        if problems.is_empty() { Ok(document) } else { Err(problems) }
    }
}

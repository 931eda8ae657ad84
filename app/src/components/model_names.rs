//! Suggestions for fields that take the name of a model.

use leptos::prelude::*;

/// The ID of the suggestions.
pub const MODEL_NAMES: &str = "model-names";
/// The maximum number of suggestions on a page.
const MAX_SUGGESTIONS: usize = 1000;

/// The suggestions: pairs of a connection's name and a model that its server listed.
pub fn model_names<'a>(models: impl Iterator<Item = (&'a str, &'a str)>) -> AnyView {
    let options = models.take(MAX_SUGGESTIONS).map(|(connection, model)| {
        view! { <option value=model.to_owned() label=format!("{model} ({connection})")></option> }
    });
    let options: Vec<_> = options.collect();
    view! { <datalist id=MODEL_NAMES>{options}</datalist> }.into_any()
}

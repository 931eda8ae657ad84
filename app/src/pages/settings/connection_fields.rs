//! The fields of a connection. A preset knows most of them, so its form asks for the rest
//! and has the others under "More settings".

use crate::components::form::{Control, Field, Form, options};
use crate::components::form_order::FieldOrder;
use crate::domain::{
    API_VERSION, AuthScheme, Connection, ConnectionKind, ConnectionPreset, Draft, KeyUse,
    azure_resource,
};
use leptos::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

const TEXT: Control = Control::Input("text");

/// What a form asks for before "More settings".
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Everything that a request depends on.
    Custom,
    /// A hosted API: the key.
    Hosted,
    /// Azure: resource, version and key.
    Azure,
    /// A server of the user: address and key.
    Local,
    /// A server of the user that has no keys: the address.
    LocalWithoutKey,
}

impl Layout {
    fn of(preset: Option<ConnectionPreset>) -> Self {
        match preset.map(|preset| (preset, preset.facts())) {
            None => Self::Custom,
            Some((ConnectionPreset::AzureOpenAi, _)) => Self::Azure,
            Some((_, facts)) if facts.key == KeyUse::Unused => Self::LocalWithoutKey,
            Some((_, facts)) if facts.is_local => Self::Local,
            Some(_) => Self::Hosted,
        }
    }

    /// All fields in the order of the page, and how many of them are before "More settings".
    fn fields(self) -> (FieldOrder, usize) {
        match self {
            Self::Custom => (CUSTOM, 10),
            Self::Hosted => (HOSTED, 3),
            Self::Azure => (AZURE, 5),
            Self::Local => (LOCAL, 4),
            Self::LocalWithoutKey => (LOCAL_WITHOUT_KEY, 2),
        }
    }
}

/// The order of the fields. All forms have the fields of the authentication together, and
/// end with the unusual ones.
macro_rules! field_order {
    ($($before:literal)* ; $($after:literal)*) => {
        &[
            "name",
            $($before,)*
            "auth.scheme",
            "auth.username",
            "auth.token_url",
            "auth.client_id",
            "auth.scope",
            $($after,)*
            "timeout_seconds",
            "query",
            "headers",
        ]
    };
}

const CUSTOM: FieldOrder = field_order!("kind" "base_url"; "api_key" "remove_key");
const HOSTED: FieldOrder = field_order!("api_key" "remove_key" "base_url";);
const AZURE: FieldOrder = field_order!("resource" "api_version" "api_key" "remove_key" "base_url";);
const LOCAL: FieldOrder = field_order!("base_url" "api_key" "remove_key";);
const LOCAL_WITHOUT_KEY: FieldOrder = field_order!("base_url"; "api_key" "remove_key");
/// The fields whose values are always unusual.
const OPTIONAL: [&str; 3] = ["timeout_seconds", "query", "headers"];

/// The hint and the options of the key, which depend on what is stored.
pub(super) struct KeyField {
    pub(super) hint: String,
    /// Whether the stored key can be removed.
    pub(super) is_removable: bool,
}

/// The order of the fields, in which the problems of the form are listed.
pub(super) fn field_order(preset: Option<ConnectionPreset>) -> FieldOrder {
    Layout::of(preset).fields().0
}

/// All fields of the form.
pub(super) fn fields(form: Form, preset: Option<ConnectionPreset>, key: &KeyField) -> AnyView {
    let (all, shown) = Layout::of(preset).fields();
    let (main, more) = all.split_at(shown);
    let show = |path: &&str| field(path, form, preset, key);
    let main: Vec<AnyView> = main.iter().map(show).collect();
    let rest: Vec<AnyView> = more.iter().map(show).collect();
    let is_open = open_with_problems(form, more);
    let hint = preset.map(|preset| view! { <p class="hint wide">{preset.facts().hint}</p> });
    view! {
        <input type="hidden" name="preset" value=preset.map_or("", ConnectionPreset::as_str)/>
        {form.summary()}
        <section class="fields" aria-label="Connection settings">{hint} {main}</section>
        <details class="more" open=move || is_open.get()>
            <summary>"More settings"</summary>
            <section class="fields" aria-label="More settings">{rest}</section>
        </details>
    }
    .into_any()
}

/// Whether the fields of a closed section are shown: as soon as one has a problem, and from
/// the start if one of them has an unusual value.
fn open_with_problems(form: Form, fields: FieldOrder) -> RwSignal<bool> {
    let has_problem = move || fields.iter().any(|path| form.message(path).is_some());
    let has_value =
        form.draft(|draft| OPTIONAL.iter().any(|path| !draft.text(path).trim().is_empty()));
    let is_open = RwSignal::new(has_value || untrack(has_problem));
    Effect::new(move |_| {
        if has_problem() {
            is_open.set(true);
        }
    });
    is_open
}

fn field(path: &str, form: Form, preset: Option<ConnectionPreset>, key: &KeyField) -> AnyView {
    let field = match path {
        "name" => Field::new("name", "Name", TEXT).required(),
        "kind" => {
            Field::new("kind", "Kind", options(ConnectionKind::ALL, ConnectionKind::label))
                .required()
        }
        "base_url" => base_url(preset),
        "resource" => Field::new("resource", "Resource", TEXT)
            .required()
            .hint("The name of your Azure OpenAI resource, such as my-resource for my-resource.openai.azure.com, or its whole host."),
        "api_version" => Field::new("api_version", "API version", TEXT)
            .hint("Leave empty for the v1 API. A dated version needs the base URL of a deployment under More settings."),
        "auth.scheme" => Field::new("auth.scheme", "Authentication", schemes()),
        "auth.username" => Field::new("auth.username", "Username", TEXT).required().class("auth-basic"),
        "auth.token_url" => Field::new("auth.token_url", "Token URL", TEXT)
            .required()
            .class("wide auth-oauth")
            .hint("The client secret is sent only there."),
        "auth.client_id" => Field::new("auth.client_id", "Client ID", TEXT).required().class("auth-oauth"),
        "auth.scope" => Field::new("auth.scope", "Scope", TEXT)
            .class("auth-oauth")
            .hint("Several are separated by spaces. Leave empty for the server’s default."),
        "api_key" => return key_field(form, key),
        "remove_key" if !key.is_removable => return ().into_any(),
        "remove_key" => Field::new("remove_key", "Remove the stored key", Control::Checkbox),
        "timeout_seconds" => Field::new("timeout_seconds", "Timeout of one call, in seconds", Control::Number)
            .hint("1–600. Leave empty for the default of this server."),
        "query" => Field::new("query", "Query parameters", Control::TextArea(2))
            .class("wide mono")
            .hint("One per line, as name=value. Secret values are stored encrypted and shown as ••••••••."),
        _ => Field::new("headers", "Extra headers", Control::TextArea(3))
            .class("wide mono")
            .hint("One per line, as Name: value. Values of secret headers are stored encrypted and shown as ••••••••."),
    };
    field.show(form)
}

/// All schemes. The first choice follows the kind or the preset, also when they change.
fn schemes() -> Control {
    let mut choices = vec![(String::new(), "Default of the provider".to_owned())];
    let all = AuthScheme::ALL.iter();
    choices.extend(all.map(|(word, scheme)| ((*word).to_owned(), scheme.label().to_owned())));
    Control::Select(choices)
}

fn base_url(preset: Option<ConnectionPreset>) -> Field {
    let hint = match preset.map(ConnectionPreset::facts) {
        Some(facts) if facts.is_local => {
            "The address of the server, with /v1. It must be reachable from the Rehearsal server."
        }
        Some(_) => "Leave empty for the provider’s own address.",
        None => {
            "Leave empty for the provider’s default. Otherwise as in its SDK, for example http://localhost:11434/v1."
        }
    };
    Field::new("base_url", "Base URL", TEXT).class("wide").hint(hint)
}

fn key_field(form: Form, key: &KeyField) -> AnyView {
    view! {
        {Field::new("api_key", "API key", Control::Input("password")).class("wide")
            .autocomplete("off").value(String::new()).show(form)}
        <p class="hint wide">{key.hint.clone()}</p>
    }
    .into_any()
}

/// The values that the form of a new connection begins with.
pub(super) fn new_draft(preset: Option<ConnectionPreset>) -> Draft {
    let Some(preset) = preset else {
        return Draft(json!({"kind": "anthropic"}));
    };
    let facts = preset.facts();
    Draft(json!({"name": preset.label(), "kind": facts.kind, "base_url": facts.base_url}))
}

/// The values of a stored connection.
pub(super) fn stored_draft(connection: &Connection) -> Draft {
    let is_azure = connection.preset == Some(ConnectionPreset::AzureOpenAi);
    let resource = is_azure.then(|| azure_resource(&connection.base_url)).flatten();
    let mut query = connection.query.clone();
    let api_version = if is_azure { query.remove(API_VERSION) } else { None };
    let mut auth = json!(connection.auth);
    let default = connection.preset.map(|preset| preset.facts().auth_scheme);
    if connection.auth.scheme == default.unwrap_or(AuthScheme::default_of(connection.kind)) {
        auth["scheme"] = "".into();
    }
    Draft(json!({
        "name": connection.name,
        "kind": connection.kind,
        "base_url": if resource.is_some() { "" } else { connection.base_url.as_str() },
        "resource": resource,
        "api_version": api_version,
        "auth": auth,
        "timeout_seconds": connection.timeout_seconds,
        "query": lines(&query, "="),
        "headers": lines(&connection.headers, ": "),
    }))
}

fn lines(values: &BTreeMap<String, String>, separator: &str) -> String {
    let lines: Vec<_> =
        values.iter().map(|(name, value)| format!("{name}{separator}{value}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_layout_has_each_of_its_fields_once() {
        let layouts = [None].into_iter().chain(ConnectionPreset::ALL.iter().map(|(_, p)| Some(*p)));
        for preset in layouts {
            let (all, shown) = Layout::of(preset).fields();
            let unique: BTreeSet<&str> = all.iter().copied().collect();
            assert_eq!(all.len(), unique.len(), "{preset:?}");
            assert!(shown < all.len() && all[..shown].contains(&"name"), "{preset:?}");
            for path in ["name", "base_url", "auth.scheme", "auth.scope", "api_key", "headers"] {
                assert!(unique.contains(path), "{preset:?} lacks {path}");
            }
        }
    }
}

//! Parts of the OpenAPI document that all routes share.

use crate::http::problem::{PROBLEM_JSON, ProblemDocument};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder,
    PathItem, Ref, Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

const ABOUT: &str = "Agents, scenarios, and suites that test agents with scenarios. \
    Programs send `Authorization: Bearer <token>`. Objects of other users answer 404. Errors are \
    problem documents (`application/problem+json`). Lists are `{items, next}`; pass `next` as \
    `cursor` to get the next page. A `PUT` contains the `revision` that it is based on. Requests \
    that start something accept an `Idempotency-Key`.";

/// The document without routes.
pub(super) fn base_document() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::http::COOKIE));
    let mut components = ComponentsBuilder::new()
        .schema("Problem", domain::Problem::schema())
        .schema("ProblemDocument", ProblemDocument::schema())
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let mut schemas = Vec::new();
    <ProblemDocument as ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let info = InfoBuilder::new()
        .title("Rehearsal")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT));
    let mut document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    let alternatives = ["token", "session"]
        .map(|name| utoipa::openapi::SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
    document.security = Some(alternatives.to_vec());
    document
}

/// Adds the problem document to every operation, and the idempotency key to those
/// that start something.
pub(super) fn add_common_parts(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("ProblemDocument")))
                .build();
            let problem = ResponseBuilder::new()
                .description("Error: a problem document")
                .content(PROBLEM_JSON, content)
                .build();
            operation.responses.responses.insert("default".to_owned(), problem.into());
        }
        if is_start(path)
            && let Some(operation) = &mut item.post
        {
            add_idempotency_key(operation);
        }
    }
}

/// Whether a POST to the path starts something.
fn is_start(path: &str) -> bool {
    ["/suites", "/runs", "/rerun", "/evaluate"].iter().any(|end| path.ends_with(end))
}

fn add_idempotency_key(operation: &mut Operation) {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(255)).build();
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Repeats with the same key and request get the first response, byte for byte",
        ))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_with(Vec::new).push(parameter.into());
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

//! The OpenAPI document around the routes: head, security, and what is the
//! same for all of them.

use crate::http::problem::{Document, PROBLEM_JSON};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder,
    PathItem, Ref, Required, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

const ABOUT: &str = "Scenarios, agents, and the suites that try the one against the other. \
    Programs send `Authorization: Bearer <token>`; what belongs to somebody else answers 404. \
    Errors are problem documents (`application/problem+json`). Lists are `{items, next}`; `next` \
    goes into `cursor`. A `PUT` carries the `revision` that it is based on. Starts take an \
    `Idempotency-Key`.";

/// The document before any route.
pub(super) fn head() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::http::COOKIE));
    let mut components = ComponentsBuilder::new()
        .schema("Problem", domain::Problem::schema())
        .schema("ProblemDocument", Document::schema())
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let mut schemas = Vec::new();
    <Document as ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let info = InfoBuilder::new()
        .title("Rehearsal")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT));
    let mut document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    let either = ["token", "session"]
        .map(|name| utoipa::openapi::SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
    document.security = Some(either.to_vec());
    document
}

/// Adds what every operation has: the problem document, and the idempotency
/// key of starts.
pub(super) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("ProblemDocument")))
                .build();
            let refusal = ResponseBuilder::new()
                .description("Anything else: a problem document")
                .content(PROBLEM_JSON, content)
                .build();
            operation.responses.responses.insert("default".to_owned(), refusal.into());
        }
        if starts(path)
            && let Some(operation) = &mut item.post
        {
            add_key(operation);
        }
    }
}

/// Whether a post there starts something.
fn starts(path: &str) -> bool {
    ["/suites", "/runs", "/rerun", "/evaluate"].iter().any(|end| path.ends_with(end))
}

fn add_key(operation: &mut Operation) {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(255)).build();
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The same key and request: the first answer again, byte for byte"))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_with(Vec::new).push(parameter.into());
}

/// The operations of a path that are there.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

//! Test profile routes.

use super::{ApiResult, PREFIX, created, export};
use crate::http::HttpState;
use crate::http::auth::SignedIn;
use crate::http::extract::{Id, JsonBody, Params, base_revision};
use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use domain::services::ListPage;
use domain::{Profile, ProfileId, ProfileSpec};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(export_all))
        .routes(routes!(read, update, delete))
}

/// List test profiles by name
///
/// The values of secret variables are never shown.
#[utoipa::path(get, path = "/profiles", tag = "profiles",
    responses((status = 200, description = "All test profiles", body = ListPage<Profile>)))]
async fn list(user: SignedIn) -> ApiResult<Json<ListPage<Profile>>> {
    let items = user.services.profiles.profiles(&user.caller).await?;
    Ok(Json(ListPage { items, next: None }))
}

/// Create a test profile
#[utoipa::path(post, path = "/profiles", tag = "profiles", request_body = ProfileSpec,
    responses((status = 201, description = "The test profile", body = Profile)))]
async fn create(user: SignedIn, JsonBody(draft): JsonBody) -> ApiResult {
    let profile = user.services.profiles.create_profile(&user.caller, &draft).await?;
    Ok(created(format!("{PREFIX}/profiles/{}", profile.id), profile))
}

/// Get the latest revision of a test profile
#[utoipa::path(get, path = "/profiles/{id}", tag = "profiles", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The test profile", body = Profile)))]
async fn read(user: SignedIn, Id(id): Id<ProfileId>) -> ApiResult<Json<Profile>> {
    Ok(Json(user.services.profiles.profile(&user.caller, id).await?))
}

/// Save a new revision
///
/// The body contains the `revision` that it is based on. Answers 409 if there is a
/// newer revision. A secret variable without a value keeps the stored one. Suites keep the
/// revision that they were started with.
#[utoipa::path(put, path = "/profiles/{id}", tag = "profiles", params(("id" = Uuid, Path)),
    request_body = ProfileSpec,
    responses((status = 200, description = "The new revision", body = Profile)))]
async fn update(
    user: SignedIn,
    Id(id): Id<ProfileId>,
    JsonBody(draft): JsonBody,
) -> ApiResult<Json<Profile>> {
    let revision = base_revision(&draft, ProfileSpec::parse)?;
    Ok(Json(user.services.profiles.update_profile(&user.caller, id, revision, &draft).await?))
}

/// Delete a test profile; suites keep the revision that they were started with
#[utoipa::path(delete, path = "/profiles/{id}", tag = "profiles", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(user: SignedIn, Id(id): Id<ProfileId>) -> ApiResult<StatusCode> {
    user.services.profiles.delete_profile(&user.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A variable in the format of import. A secret has no value.
#[derive(Serialize)]
struct ExportedVariable<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secret: bool,
}

#[derive(Serialize)]
struct Exported<'a> {
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'a str>,
    variables: Vec<ExportedVariable<'a>>,
}

/// Export test profiles as YAML or JSON, in the format of import
///
/// Secret variables are exported without their values.
#[utoipa::path(get, path = "/profiles/export", tag = "profiles", params(export::ExportParams),
    responses((status = 200, description = "The documents", content_type = "application/yaml")))]
async fn export_all(user: SignedIn, params: Params) -> ApiResult<Response> {
    let format = params.read(export::format)?;
    let profiles = user.services.profiles.profiles(&user.caller).await?;
    let documents: Vec<_> = profiles.iter().map(|profile| exported(&profile.spec)).collect();
    Ok(export::download("profiles", &documents, format)?)
}

fn exported(spec: &ProfileSpec) -> Exported<'_> {
    let variables = spec.variables.iter().map(|variable| ExportedVariable {
        name: &variable.name,
        value: variable.value.as_deref(),
        secret: variable.secret,
    });
    Exported {
        kind: "profile",
        name: &spec.name,
        description: &spec.description,
        time_zone: spec.time_zone.as_deref(),
        variables: variables.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{export, exported};
    use domain::{Draft, ProfileSpec};
    use serde_json::json;
    use services::document_import::{Format, ImportFile, read_files};

    #[test]
    fn exported_profiles_can_be_imported() {
        let draft = json!({"name": "Lena: yes", "description": "a\nb", "time_zone": "Europe/Berlin",
            "variables": [{"name": "customer.name", "value": "no"}, {"name": "n", "value": "1e3"},
                {"name": "pin", "secret": true}]});
        let spec = ProfileSpec::parse(&Draft(draft)).expect("valid");
        for format in [Format::Yaml, Format::Json] {
            let text = export::encode(&[exported(&spec)], format).expect("an export");
            let file = ImportFile { name: String::new(), text: text.clone(), format };
            let read = read_files(&[file]).expect("an import");
            assert_eq!(ProfileSpec::parse(&read.documents[0]).as_ref(), Ok(&spec), "{text}");
        }
    }
}

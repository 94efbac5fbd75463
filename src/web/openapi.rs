//! The document of the API, made from the code that answers.

use super::routes::{batches, jobs, station};
use super::{events, metrics};
use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The API of a running Enlist station: its bays, its history, its batches.
///
/// Where the station has a token, everything below `/api` and `/metrics` needs it. Requests
/// that change something need the header `Enlist-Request`. Errors are RFC 9457 problems.
#[derive(OpenApi)]
#[openapi(
    info(title = "Enlist", license(name = "MIT", identifier = "MIT")),
    servers((url = "/", description = "This station")),
    security((), ("token" = []), ("session" = [])),
    modifiers(&Schemes),
    paths(
        station::station,
        station::bays,
        station::bay,
        station::doctor,
        station::profiles,
        station::open_session,
        station::close_session,
        station::health,
        jobs::list,
        jobs::one,
        batches::list,
        batches::open,
        batches::one,
        batches::entries,
        batches::report,
        batches::close,
        batches::resume,
        batches::allow,
        events::follow,
        metrics::metrics,
        document,
    ),
    components(schemas(
        crate::api::view::station::SnapshotView,
        crate::api::view::station::TroubleView,
        crate::api::view::Health,
    )),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("enlist_session")));
        components.add_security_scheme("session", cookie);
    }
}

/// This document
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "station",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

//! Every route.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post, post_service},
};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;

use crate::{console, mcp};

use super::{
    App, cache, error::ApiError, events, facets, freshness, guard, hooks, journal, keys, memory,
    metrics, openapi, operator, orders, payloads, projects, rates, records, resources, saved,
    snapshots, sql, state, tenants, webhooks,
};

/// Every route with its method, as `docs/http.md` lists them.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/v1/instances"),
    ("GET", "/v1/instances/{instance}"),
    ("GET", "/v1/instances/{instance}/forecast"),
    ("GET", "/v1/resources"),
    ("GET", "/v1/records/{resource}"),
    ("GET", "/v1/records/{resource}/{instance}/{id}"),
    ("GET", "/v1/records/{resource}/{instance}/{id}/history"),
    ("GET", "/v1/records/{resource}/{instance}/{id}/diff"),
    ("GET", "/v1/cache/records/{resource}/{instance}/{id}"),
    ("POST", "/v1/records/{resource}/{instance}/{id}/refresh"),
    (
        "GET, POST, PUT",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}",
    ),
    (
        "PATCH, DELETE",
        "/v1/records/{resource}/{instance}/{id}/payloads/{payload}/{item}",
    ),
    ("GET", "/v1/freshness/{resource}/{instance}/{id}"),
    ("GET, POST", "/v1/search"),
    ("GET", "/v1/facets"),
    ("POST", "/v1/query/sql"),
    ("GET", "/v1/snapshots"),
    ("GET", "/v1/snapshots/{snapshot}"),
    ("POST, DELETE", "/v1/snapshots/{snapshot}/pin"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/runs/{id}"),
    ("GET", "/v1/changes"),
    ("GET", "/v1/events"),
    ("GET", "/v1/quarantine"),
    ("GET", "/v1/principal"),
    ("GET, POST", "/v1/tenants"),
    ("GET, PATCH, DELETE", "/v1/tenants/{tenant}"),
    ("GET", "/v1/tenants/{tenant}/usage"),
    ("PUT, DELETE", "/v1/tenants/{tenant}/instances/{instance}"),
    ("GET, POST", "/v1/tenants/{tenant}/projects"),
    (
        "GET, PATCH, DELETE",
        "/v1/tenants/{tenant}/projects/{project}",
    ),
    ("GET, POST", "/v1/keys"),
    ("GET, PATCH, DELETE", "/v1/keys/{key}"),
    ("POST", "/v1/keys/{key}/rotate"),
    ("GET", "/v1/cache/families"),
    ("GET", "/v1/cache/doctor"),
    ("GET, DELETE", "/v1/cache/keys/{key}"),
    ("POST", "/v1/hooks/{instance}"),
    ("GET, PUT", "/v1/rates"),
    ("GET", "/v1/queries"),
    ("PUT, DELETE", "/v1/queries/{name}"),
    ("POST", "/v1/queries/{name}/run"),
    ("GET", "/v1/settings"),
    ("GET", "/v1/calls/report"),
    ("PATCH", "/v1/instances/{instance}/connections/{connection}"),
    ("GET, POST", "/v1/orders/plans"),
    ("GET", "/v1/orders/plans/{plan}"),
    ("GET", "/v1/orders/plans/{plan}/orders/{order}"),
    ("POST", "/v1/orders/plans/{plan}/approve"),
    ("POST", "/v1/orders/plans/{plan}/apply"),
    ("POST", "/v1/orders/plans/{plan}/cancel"),
    ("GET, POST", "/v1/orders/claims"),
    ("POST", "/v1/orders/claims/release"),
    ("POST", "/v1/memory/add"),
    ("POST", "/v1/memory/query"),
    ("GET, PATCH, DELETE", "/v1/memory/{id}"),
    ("GET, POST", "/v1/webhooks"),
    ("GET, PATCH, DELETE", "/v1/webhooks/{name}"),
    ("POST", "/v1/webhooks/{name}/rotate"),
    ("GET", "/v1/webhooks/{name}/deliveries"),
    ("POST", "/v1/webhooks/{name}/replay"),
    ("POST", "/mcp"),
];

/// The API on `app`, with `/mcp`.
pub fn router(app: App) -> Router {
    let api = api(app.clone());
    let agents = mcp::service(api.clone(), app.body_bytes_max(), app.stop().clone());
    let agents = Router::new()
        .route("/mcp", post_service(agents))
        .route_layer(middleware::from_fn_with_state(app.clone(), guard::know))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            guard::accompany,
        ));
    let pages = console::router(app.clone(), api.clone())
        .layer(middleware::from_fn_with_state(app, guard::accompany));
    agents.merge(pages).fallback_service(api)
}

/// The API on `app`.
pub fn api(app: App) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/v1/instances", get(state::list_instances))
        .route("/v1/instances/{instance}", get(state::show_instance))
        .route("/v1/resources", get(resources::list_resources))
        .route("/v1/records/{resource}", get(records::list_records))
        .route(
            "/v1/records/{resource}/{instance}/{id}",
            get(records::show_record),
        )
        .route(
            "/v1/records/{resource}/{instance}/{id}/history",
            get(records::show_history),
        )
        .route(
            "/v1/search",
            get(records::search).post(records::search_by_body),
        )
        .route("/v1/query/sql", post(sql::query))
        .route("/v1/runs", get(journal::list_runs))
        .route("/v1/runs/{id}", get(journal::show_run))
        .route("/v1/changes", get(journal::list_changes))
        .route("/v1/events", get(events::list_events))
        .route("/v1/quarantine", get(journal::list_quarantine))
        .merge(snapshots::routes())
        .merge(payloads::routes())
        .merge(tenants::routes())
        .merge(projects::routes())
        .merge(keys::routes())
        .merge(memory::routes())
        .merge(orders::routes())
        .merge(operator::routes())
        .merge(rates::routes())
        .merge(saved::routes())
        .merge(webhooks::routes())
        .merge(cache::routes())
        .merge(facets::routes())
        .merge(freshness::routes());
    let guarded = guarded.route_layer(middleware::from_fn_with_state(app.clone(), guard::admit));
    let routes = Router::new()
        .route("/healthz", get(state::healthz))
        .route("/readyz", get(state::readyz))
        .route("/openapi.json", get(openapi::show_openapi))
        .merge(hooks::routes())
        .merge(guarded)
        .fallback(async || {
            ApiError::not_found("there is no such route").hint("docs/http.md lists the routes")
        })
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(app.clone());
    // Around the router, not around each of its routes: a layer of a route is cloned with it for each request.
    let around = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(
            app.clone(),
            guard::accompany,
        ))
        .layer(CompressionLayer::new())
        .layer(middleware::map_response(guard::as_problem))
        .layer(DefaultBodyLimit::max(app.body_bytes_max()));
    Router::new().fallback_service(around.service(routes))
}

//! `/console`: pages for people, rendered here, whole without scripts.
//!
//! A page asks the HTTP API within this process on behalf of whoever has logged in, so that the same rights and limits
//! hold, and fills a template. Whoever may look needs an admin's key; nothing changes but by a form with a token.

mod actions;
mod calls;
mod chart;
mod columns;
mod diff;
mod export;
mod facets;
mod filters;
mod forms;
mod freshness;
mod lists;
mod overview;
mod page;
mod record;
mod records;
mod session;
mod sql;
mod tree;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Method, header};

use self::{
    page::Pages,
    session::{Seal, Session},
};
use crate::{
    door::Door,
    http::{App, KnownBy, known_by},
};

/// The most bytes of a form.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// Nothing but our own style sheet, script and forms; no frames.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' \
                      data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every page can reach. Cheap to clone.
#[derive(Clone)]
struct Console {
    inner: Arc<Inner>,
}

struct Inner {
    app: App,
    door: Door,
    pages: Pages,
}

impl Console {
    fn door(&self) -> &Door {
        &self.inner.door
    }

    fn pages(&self) -> &Pages {
        &self.inner.pages
    }

    /// What sessions are sealed with.
    async fn seal(&self) -> Result<Seal, Response> {
        let secret = self.inner.app.console_secret().await;
        secret
            .map(|secret| Seal::new(&secret))
            .map_err(|error| self.pages().failed(&error.to_string()))
    }
}

/// The console over `api`.
pub fn router(app: App, api: Router) -> Router {
    let console = Console {
        inner: Arc::new(Inner {
            app,
            door: Door::new(api),
            pages: Pages::new(),
        }),
    };
    let inside = Router::new()
        .route("/console", get(overview::show))
        .route("/console/records", get(records::show))
        .route("/console/records.csv", get(export::csv))
        .route("/console/records.json", get(export::json))
        .route("/console/freshness", get(freshness::show))
        .route(
            "/console/records/{resource}/{instance}/{id}",
            get(record::show),
        )
        .route(
            "/console/records/{resource}/{instance}/{id}/raw",
            get(record::raw),
        )
        .route(
            "/console/records/{resource}/{instance}/{id}/refresh",
            post(actions::refresh),
        )
        .route("/console/sql", get(sql::show).post(sql::ask))
        .route("/console/runs", get(lists::runs))
        .route("/console/runs/{run}", get(lists::run))
        .route("/console/calls", get(calls::show))
        .route(
            "/console/connections",
            get(lists::connections).post(actions::change_connection),
        )
        .route("/console/settings", get(lists::settings))
        .route("/console/changes", get(lists::changes))
        .route("/console/events", get(lists::events))
        .route("/console/cache", get(lists::cache))
        .route(
            "/console/orders",
            get(lists::plans).post(actions::make_plan),
        )
        .route(
            "/console/orders/{plan}",
            get(lists::plan).post(actions::move_plan),
        )
        .route("/console/keys", get(lists::keys).post(actions::make_key))
        .route("/console/keys/{key}", post(actions::change_key))
        .route("/console/tenants", get(lists::tenants))
        .route_layer(middleware::from_fn_with_state(console.clone(), enter));
    Router::new()
        .route("/", get(async || Redirect::to("/console")))
        .route("/console/login", get(session::form).post(session::log_in))
        .route("/console/logout", post(session::log_out))
        .route("/console/style.css", get(style))
        .route("/console/live.js", get(script))
        .merge(inside)
        .layer(axum::extract::DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::map_response(safely))
        .with_state(console)
}

/// Lets in whoever has a session, or needs none; everybody else may log in.
async fn enter(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let seal = match console.seal().await {
        Ok(seal) => seal,
        Err(failed) => return failed,
    };
    let is_form = request.method() == Method::POST;
    let session = Session::of(&seal, request.headers());
    let credential = session.as_ref().map(Session::credential);
    let known = known_by(&console.inner.app, credential, request.headers()).await;
    let caller = match known {
        KnownBy::Caller(caller) => caller,
        KnownBy::Nobody if is_form => {
            return console.pages().login(
                "/console",
                "Your session has ended. Nothing was changed: log in and do it again.",
            );
        }
        KnownBy::Nobody => {
            let to = request
                .uri()
                .path_and_query()
                .map_or("/console", |p| p.as_str());
            let to = format!("/console/login?to={}", crate::door::encoded(to));
            return Redirect::to(&to).into_response();
        }
        KnownBy::Refused(message) => return console.pages().login("/console", &message),
    };
    if !caller.is_admin() {
        return console.pages().login(
            "/console",
            "The console needs a key whose role is admin; this one's is less.",
        );
    }
    // Where no key is asked for, forms are bound to the browser all the same.
    let (session, fresh) = match session {
        Some(session) => (session, None),
        None => {
            let session = Session::anonymous(&seal);
            let cookie = session.cookie(request.headers());
            (session, Some(cookie))
        }
    };
    if is_form && !is_same_origin(request.headers()) {
        return console
            .pages()
            .refused("The form came from another site. Nothing was changed.");
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(session);
    let mut response = next.run(request).await;
    if let Some(cookie) = fresh {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether a form was sent by a page of ours, as far as the browser says.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
        // Clients that are no browsers say neither; they need the token all the same.
        _ => true,
    }
}

async fn safely(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn style() -> impl IntoResponse {
    asset(
        "text/css; charset=utf-8",
        include_str!("console/assets/style.css"),
    )
}

async fn script() -> impl IntoResponse {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("console/assets/live.js"),
    )
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "private, max-age=300"),
        ],
        text,
    )
}

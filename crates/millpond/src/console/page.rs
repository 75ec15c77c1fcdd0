//! Templates, and what every page has.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use minijinja::{AutoEscape, Environment, Value as Shown};
use serde_json::{Number, Value, json};

use super::{filters, session::Session};
use crate::{access::Caller, door::Refusal};

/// Name and text of each template.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("calls.html", include_str!("templates/calls.html")),
    ("cache.html", include_str!("templates/cache.html")),
    ("changes.html", include_str!("templates/changes.html")),
    (
        "connections.html",
        include_str!("templates/connections.html"),
    ),
    ("events.html", include_str!("templates/events.html")),
    ("freshness.html", include_str!("templates/freshness.html")),
    ("keys.html", include_str!("templates/keys.html")),
    ("login.html", include_str!("templates/login.html")),
    ("macros.html", include_str!("templates/macros.html")),
    ("message.html", include_str!("templates/message.html")),
    ("overview.html", include_str!("templates/overview.html")),
    ("plan.html", include_str!("templates/plan.html")),
    ("plans.html", include_str!("templates/plans.html")),
    ("record.html", include_str!("templates/record.html")),
    ("records.html", include_str!("templates/records.html")),
    ("run.html", include_str!("templates/run.html")),
    ("runs.html", include_str!("templates/runs.html")),
    ("settings.html", include_str!("templates/settings.html")),
    ("sql.html", include_str!("templates/sql.html")),
    ("tenants.html", include_str!("templates/tenants.html")),
];

/// Where one can go, and what it is called.
const PLACES: &[(&str, &str)] = &[
    ("/console", "Overview"),
    ("/console/records", "Records"),
    ("/console/sql", "SQL"),
    ("/console/runs", "Runs"),
    ("/console/calls", "Calls"),
    ("/console/freshness", "Freshness"),
    ("/console/changes", "Changes"),
    ("/console/events", "Events"),
    ("/console/orders", "Orders"),
    ("/console/cache", "Cache"),
    ("/console/connections", "Connections"),
    ("/console/keys", "Keys"),
    ("/console/tenants", "Tenants"),
    ("/console/settings", "Settings"),
];

/// The entries of both; the second's win.
pub(super) fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(entries), Value::Object(more)) = (&mut first, second) {
        entries.extend(more);
    }
    first
}

/// Digits, sign and point of a number that is a float whatever its digits.
const FLOAT_CHARS: usize = 20;

/// A value for templates. Numbers keep their digits: those of JSON may have more than a float.
fn shown(value: &Value) -> Shown {
    match value {
        Value::Null => Shown::from(()),
        Value::Bool(flag) => Shown::from(*flag),
        Value::String(text) => Shown::from(text.as_str()),
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                return Shown::from(whole);
            }
            let digits = number.to_string();
            // So many digits every float holds; more where they are a float's own, as those of tiny shares are.
            let is_held = |float: f64| {
                digits.len() <= FLOAT_CHARS
                    || Number::from_f64(float).is_some_and(|own| own.to_string() == digits)
            };
            match number.as_f64().filter(|float| is_held(*float)) {
                Some(float) => Shown::from(float),
                None => Shown::from(digits),
            }
        }
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(entries) => Shown::from_pairs(
            entries
                .iter()
                .map(|(key, value)| (key.as_str(), shown(value))),
        ),
    }
}

/// Fills templates.
pub(super) struct Pages {
    templates: Environment<'static>,
}

/// Who looks at a page.
pub(super) struct Viewer<'a> {
    pub caller: &'a Caller,
    pub session: &'a Session,
    /// The place of the navigation that the page belongs to.
    pub place: &'static str,
}

impl Pages {
    pub fn new() -> Self {
        let mut templates = Environment::new();
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        filters::add(&mut templates);
        for (name, text) in TEMPLATES {
            // They are part of the program: `every_template_can_be_read` sees to it.
            if let Err(error) = templates.add_template(name, text) {
                tracing::error!(%error, "the template {name} is wrong");
            }
        }
        Self { templates }
    }

    /// A page for somebody who is logged in.
    pub fn show(&self, template: &str, viewer: &Viewer<'_>, content: Value) -> Response {
        self.show_with(StatusCode::OK, template, viewer, content)
    }

    pub fn show_with(
        &self,
        status: StatusCode,
        template: &str,
        viewer: &Viewer<'_>,
        content: Value,
    ) -> Response {
        let principal = viewer.caller.principal();
        let who = match (&principal.tenant, viewer.session.credential()) {
            (Some(tenant), _) => tenant.as_str(),
            (None, "") => "anybody on this machine",
            (None, _) => "operator",
        };
        // What every page has goes before what a page calls the same.
        let frame = merged(
            content,
            json!({
                "places": PLACES,
                "place": viewer.place,
                "token": viewer.session.token(),
                "who": who,
                "is_operator": principal.is_operator(),
                "can_log_out": !viewer.session.credential().is_empty(),
                "version": env!("CARGO_PKG_VERSION"),
                "now": jiff::Timestamp::now().to_string()
            }),
        );
        self.render(status, template, &frame)
    }

    /// Why there is no such page.
    pub fn refusal(&self, viewer: &Viewer<'_>, refusal: &Refusal) -> Response {
        let content = json!({
            "title": refusal.status.canonical_reason().unwrap_or("No answer"),
            "message": refusal.message,
            "hint": refusal.hint,
        });
        self.show_with(refusal.status, "message.html", viewer, content)
    }

    /// The page to log in, or to do so again.
    pub fn login(&self, to: &str, message: &str) -> Response {
        let status = match message {
            "" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        };
        self.render(
            status,
            "login.html",
            &json!({ "title": "Log in", "to": to, "message": message }),
        )
    }

    /// A form that is not carried out.
    pub fn refused(&self, message: &str) -> Response {
        let frame = json!({ "title": "Refused", "message": message });
        self.render(StatusCode::FORBIDDEN, "message.html", &frame)
    }

    /// Something of ours that does not work.
    pub fn failed(&self, message: &str) -> Response {
        let frame = json!({ "title": "Not now", "message": message });
        self.render(StatusCode::SERVICE_UNAVAILABLE, "message.html", &frame)
    }

    fn render(&self, status: StatusCode, template: &str, frame: &Value) -> Response {
        let page = self
            .templates
            .get_template(template)
            .and_then(|template| template.render(shown(frame)));
        match page {
            Ok(page) => (status, Html(page)).into_response(),
            Err(error) => {
                tracing::error!(%error, "the page {template} cannot be shown");
                let page = "<!doctype html><title>Millpond</title><p>This page cannot be shown; the log says why.";
                (StatusCode::INTERNAL_SERVER_ERROR, Html(page)).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};
    use serde_json::{Value, json};

    use super::{Pages, TEMPLATES, shown};

    #[test]
    fn numbers_keep_their_digits_and_can_be_reckoned_with() {
        for (ratio, percent) in [
            ("1.0", "100.0"),
            ("0.5", "50.0"),
            ("0.6666666666666666", "66.7"),
            ("0.00009618974822847271", "0.0"),
            ("9.618974822847271e-14", "0.0"),
        ] {
            let number: Value = serde_json::from_str(ratio).unwrap_or_default();
            let text = Environment::new().render_str(
                "{{ (n * 100) | round(1) }}",
                context! { n => shown(&number) },
            );
            assert_eq!(text.unwrap_or_else(|error| error.to_string()), percent);
        }
        let long = "123456789012345678901234567890.123";
        let number: Value = serde_json::from_str(long).unwrap_or_default();
        assert_eq!(shown(&number).to_string(), long);
        assert_eq!(shown(&json!(560)).to_string(), "560");
    }

    #[test]
    fn every_template_can_be_read() {
        let pages = Pages::new();
        for (name, _) in TEMPLATES {
            assert!(pages.templates.get_template(name).is_ok(), "{name}");
        }
    }
}

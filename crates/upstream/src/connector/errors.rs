//! `[errors]`: how this API says no.

use std::time::Duration;

use super::reader::Table;
use crate::field_path::FieldPath;

/// How this API says no. The defaults are those of a well-behaved HTTP API.
#[derive(Clone, Debug)]
pub struct ErrorRules {
    /// How it says "too many calls".
    pub throttled: ThrottleRules,
    /// Statuses that mean "these credentials may not": the connection is set aside.
    pub refused: Vec<u16>,
    /// How it says "there is no such record".
    pub missing: MissingRules,
    /// Where the code stands in an error body, or in each element of an array of errors.
    pub code: Option<FieldPath>,
    /// Where the message stands.
    pub message: Option<FieldPath>,
    /// Whether a body with `code` is an error even with status 200.
    pub in_200: bool,
    /// Where a written document lists the stages that failed although the status was 200.
    pub partial_at: Option<FieldPath>,
}

/// How an API says "too many calls".
#[derive(Clone, Debug)]
pub struct ThrottleRules {
    /// Statuses that always mean it.
    pub statuses: Vec<u16>,
    /// Statuses that mean it when `Retry-After` is there.
    pub with_retry_after: Vec<u16>,
    /// Texts that mean it under any status, compared without case.
    pub texts: Vec<String>,
    /// How long to stay away when the answer does not say.
    pub wait: Duration,
}

/// How an API says "there is no such record".
#[derive(Clone, Debug)]
pub struct MissingRules {
    /// Statuses that mean it, unless the body is an HTML page: then the address is wrong, not the id.
    pub statuses: Vec<u16>,
    /// Error codes that mean it.
    pub codes: Vec<String>,
    /// Texts in an error body that mean it, compared without case.
    pub texts: Vec<String>,
    /// Texts that mean something else after all, such as a path that does not exist.
    pub unless: Vec<String>,
}

impl ErrorRules {
    pub(super) fn read(root: &Table<'_>) -> ErrorRules {
        let mut rules = ErrorRules::default();
        let Some(table) = root.table("errors") else {
            return rules;
        };
        if let Some(statuses) = read_statuses(&table, "refused") {
            rules.refused = statuses;
        }
        if let Some(throttled) = table.table("throttled") {
            if let Some(statuses) = read_statuses(&throttled, "statuses") {
                rules.throttled.statuses = statuses;
            }
            if let Some(statuses) = read_statuses(&throttled, "with_retry_after") {
                rules.throttled.with_retry_after = statuses;
            }
            rules.throttled.texts = lower(throttled.texts("texts"));
            if throttled.has("wait") {
                rules.throttled.wait = throttled.need_duration("wait");
            }
        }
        if let Some(missing) = table.table("missing") {
            if let Some(statuses) = read_statuses(&missing, "statuses") {
                rules.missing.statuses = statuses;
            }
            rules.missing.codes = missing.texts("codes").unwrap_or_default();
            rules.missing.texts = lower(missing.texts("texts"));
            rules.missing.unless = lower(missing.texts("unless"));
        }
        if let Some(body) = table.table("body") {
            rules.code = body.path("code");
            rules.message = body.path("message");
            rules.partial_at = body.path("partial_at");
            rules.in_200 = body.flag("in_200").unwrap_or(false);
            if rules.in_200 && rules.code.is_none() {
                body.problem(
                    "in_200",
                    "needs `code`: without it a record and an error look alike",
                );
            }
        }
        let both = rules
            .refused
            .iter()
            .find(|status| rules.throttled.statuses.contains(status));
        if let Some(status) = both {
            table.problem("refused", format!("{status} means `throttled` already"));
        }
        rules
    }
}

impl Default for ErrorRules {
    fn default() -> ErrorRules {
        ErrorRules {
            throttled: ThrottleRules {
                statuses: vec![429],
                with_retry_after: vec![503],
                texts: Vec::new(),
                wait: Duration::from_secs(30),
            },
            refused: vec![401, 403],
            missing: MissingRules {
                statuses: vec![404, 410],
                codes: Vec::new(),
                texts: Vec::new(),
                unless: Vec::new(),
            },
            code: None,
            message: None,
            in_200: false,
            partial_at: None,
        }
    }
}

fn read_statuses(table: &Table<'_>, key: &'static str) -> Option<Vec<u16>> {
    let statuses = table.integers(key, 400, 599)?;
    Some(
        statuses
            .into_iter()
            .filter_map(|status| u16::try_from(status).ok())
            .collect(),
    )
}

fn lower(texts: Option<Vec<String>>) -> Vec<String> {
    texts
        .unwrap_or_default()
        .iter()
        .map(|text| text.to_lowercase())
        .collect()
}

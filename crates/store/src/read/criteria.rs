//! Criteria as people type them: `Order.Lines[].SKU=85123A`, `OrderDate>=2026-01-01`, `Customer~acme`.

use std::str::FromStr;

use serde_json::{Map, Value};

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `~`: contains the text, in any case.
    Contains,
}

/// One condition on a record: a path, a comparison, a value. `[]` after a key means "any element of".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    steps: Vec<Step>,
    comparison: Comparison,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    key: String,
    any: bool,
}

/// A text that is no criterion.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a criterion: expected a path, one of = != < <= > >= ~ and a value, for example \
     Order.Lines[].SKU=85123A or OrderDate>=2026-01-01"
)]
pub struct BadCriterion(String);

impl FromStr for Criterion {
    type Err = BadCriterion;

    fn from_str(text: &str) -> Result<Self, BadCriterion> {
        let bad = || BadCriterion(text.chars().take(120).collect());
        let at = text.find(['=', '!', '<', '>', '~']).ok_or_else(bad)?;
        let (path, rest) = text.split_at(at);
        let (comparison, value) = [
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
            ("~", Comparison::Contains),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?)))
        .ok_or_else(bad)?;
        let steps = steps(path).ok_or_else(bad)?;
        if value.contains('\0') {
            return Err(bad());
        }
        Ok(Self {
            steps,
            comparison,
            value: value.trim().to_owned(),
        })
    }
}

impl Criterion {
    /// The criterion `path comparison value`.
    ///
    /// # Errors
    ///
    /// [`BadCriterion`] when the path has an empty key.
    pub fn new(path: &str, comparison: Comparison, value: &str) -> Result<Self, BadCriterion> {
        let mut criterion: Self = format!("{path}=").parse()?;
        criterion.comparison = comparison;
        value.clone_into(&mut criterion.value);
        Ok(criterion)
    }

    /// The values it may mean, as JSON: the text, and the number, truth value or null that it spells.
    fn values(&self) -> Vec<Value> {
        let mut values = vec![Value::String(self.value.clone())];
        if let Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) =
            serde_json::from_str(&self.value)
        {
            values.push(value);
        }
        values
    }

    /// For an equality: the bodies of which a match contains at least one.
    fn containments(&self) -> Option<Vec<Value>> {
        (self.comparison == Comparison::Equal).then(|| {
            let nested = |value| {
                self.steps.iter().rev().fold(value, |inner, step| {
                    let inner = if step.any {
                        Value::Array(vec![inner])
                    } else {
                        inner
                    };
                    Value::Object(Map::from_iter([(step.key.clone(), inner)]))
                })
            };
            self.values().into_iter().map(nested).collect()
        })
    }

    /// Whether it is an equality, which an index answers.
    pub(super) fn is_equality(&self) -> bool {
        self.comparison == Comparison::Equal
    }

    /// For every other comparison: an SQL/JSON path that a match satisfies, and whether it must *not* be satisfied.
    pub(super) fn json_path(&self) -> (String, bool) {
        let path = json_path(&self.steps);
        let sign = match self.comparison {
            Comparison::Equal | Comparison::NotEqual => "==",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Greater => ">",
            Comparison::AtLeast => ">=",
            Comparison::Contains => {
                let pattern = regex_escape(&self.value);
                return (
                    format!(
                        "{path} ? (@ like_regex {} flag \"i\")",
                        Value::String(pattern)
                    ),
                    false,
                );
            }
        };
        // A bare date means the whole day, also where records carry a time of day.
        let (sign, values) = match (self.comparison, next_day(&self.value)) {
            (Comparison::AtMost, Some(next)) => ("<", vec![Value::String(next)]),
            (Comparison::Greater, Some(next)) => (">=", vec![Value::String(next)]),
            _ => (sign, self.values()),
        };
        let tests: Vec<String> = values
            .iter()
            .map(|value| format!("@ {sign} {value}"))
            .collect();
        (
            format!("{path} ? ({})", tests.join(" || ")),
            self.comparison == Comparison::NotEqual,
        )
    }
}

/// The steps of a path such as `Order.Lines[].SKU`; `None`: it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let step = |part: &str| {
        let (key, any) = match part.strip_suffix("[]") {
            Some(key) => (key, true),
            None => (part, false),
        };
        let is_key = !key.is_empty() && !key.contains(['[', ']', '\0']);
        is_key.then(|| Step {
            key: key.to_owned(),
            any,
        })
    };
    path.trim().split('.').map(step).collect()
}

/// Steps as an SQL/JSON path.
fn json_path(steps: &[Step]) -> String {
    let mut path = "$".to_owned();
    for step in steps {
        path.push('.');
        path.push_str(&Value::String(step.key.clone()).to_string());
        if step.any {
            path.push_str("[*]");
        }
    }
    path
}

/// A place in a record's body, as criteria name it: `Status`, `Order.Lines[].SKU`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    steps: Vec<Step>,
}

/// A text that names no place.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a path: expected keys with dots between, for example Status or Order.Lines[].SKU"
)]
pub struct BadPath(String);

impl FromStr for FieldPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        // A sign would make a criterion of it.
        let steps = match text.contains(['=', '!', '<', '>', '~']) {
            true => None,
            false => steps(text),
        };
        let steps = steps.ok_or_else(|| BadPath(text.chars().take(120).collect()))?;
        let text = text.trim().to_owned();
        Ok(Self { text, steps })
    }
}

impl FieldPath {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// It as an SQL/JSON path.
    pub(super) fn json_path(&self) -> String {
        json_path(&self.steps)
    }
}

/// More alternatives than these are left to separate conditions.
const ALTERNATIVES_MAX: usize = 16;

/// The equalities among `criteria` as sets of alternatives: a match contains at least one body of each set. As many
/// as possible are merged into one set, so that the database opens each body once.
pub(super) fn containments(criteria: &[Criterion]) -> Vec<Vec<Value>> {
    let mut sets: Vec<Vec<Value>> = Vec::new();
    for bodies in criteria.iter().filter_map(Criterion::containments) {
        match sets.last_mut() {
            Some(set) if set.len() * bodies.len() <= ALTERNATIVES_MAX => {
                *set = set
                    .iter()
                    .flat_map(|one| {
                        bodies
                            .iter()
                            .map(move |other| merged(one.clone(), other.clone()))
                    })
                    .collect();
            }
            _ => sets.push(bodies),
        }
    }
    sets
}

/// A body that contains what both contain. Elements of arrays stay apart: each may be another one in a match.
/// Two different values for one key cannot both hold: they become something that no match has.
fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (key, value) in other {
                let value = match one.remove(&key) {
                    Some(before) => merged(before, value),
                    None => value,
                };
                one.insert(key, value);
            }
            Value::Object(one)
        }
        (Value::Array(mut one), Value::Array(other)) => {
            one.extend(other);
            Value::Array(one)
        }
        (one, other) if one == other => one,
        (one, other) => serde_json::json!([[{ "": [one, other] }]]),
    }
}

fn next_day(value: &str) -> Option<String> {
    (value.len() == 10)
        .then(|| value.parse::<jiff::civil::Date>().ok()?.tomorrow().ok())
        .flatten()
        .map(|d| d.to_string())
}

fn regex_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_alphanumeric() && !c.is_whitespace() && c.is_ascii() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

//! Reading inputs and plans, writing plans and verdicts: all a command line needs.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::faults::InputErrors;
use crate::input::Input;
use crate::plan::{Op, Plan};
use crate::value::Value;
use crate::{Violation, check, plan, value};

/// Why a text was not answered.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not an input in the form `fulfil-input/1`.
    #[error("the input is not in the form `fulfil-input/1`{0}")]
    Input(Place, #[source] serde_json::Error),
    /// The text is not a plan in the form `fulfil-plan/1`.
    #[error("the plan is not in the form `fulfil-plan/1`{0}")]
    Plan(Place, #[source] serde_json::Error),
    /// The input contradicts itself.
    #[error("the input cannot be planned")]
    Faults(#[source] InputErrors),
    /// The answer could not be written.
    #[error("the answer could not be written")]
    Write(#[source] serde_json::Error),
}

/// Where in a text something is wrong, as in `orders[3].lines[0].qty`; empty when it is wrong as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" | "." => Ok(()),
            place => write!(f, ": `{place}`"),
        }
    }
}

/// Plans the input in `text`; the answer is pretty JSON with a newline at its end.
///
/// # Errors
///
/// The text is no input, or its records contradict each other.
pub fn plan_text(op: Op, text: &str) -> Result<String, JsonError> {
    let input = read_input(text)?;
    write(&plan(op, &input).map_err(JsonError::Faults)?)
}

/// What `orders check` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Broken invariants; none is a good plan.
    pub violations: Vec<Violation>,
    /// The plan's exact value.
    pub value: Value,
}

/// Judges the plan in `plan_text` against the input in `input_text`.
///
/// # Errors
///
/// One of the texts is not in its form, or the input contradicts itself.
pub fn check_text(input_text: &str, plan_text: &str) -> Result<(Verdict, String), JsonError> {
    let input = read_input(input_text)?;
    let plan: Plan = parse(plan_text, JsonError::Plan)?;
    let verdict = Verdict {
        violations: check(&input, &plan),
        value: value(&input, &plan),
    };
    let text = write(&verdict)?;
    Ok((verdict, text))
}

/// Reads an input.
///
/// # Errors
///
/// An unknown key, a wrong type, a missing field: with its place, line and column.
pub fn read_input(text: &str) -> Result<Input, JsonError> {
    parse(text, JsonError::Input)
}

fn parse<T: DeserializeOwned>(
    text: &str,
    wrong: fn(Place, serde_json::Error) -> JsonError,
) -> Result<T, JsonError> {
    let whole = || Place(String::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut reader);
    let read = read.map_err(|error| wrong(Place(error.path().to_string()), error.into_inner()))?;
    reader.end().map_err(|error| wrong(whole(), error))?;
    Ok(read)
}

/// Writes `answer` as pretty JSON with a newline at its end.
///
/// # Errors
///
/// A value that JSON cannot hold; none of this crate's has one.
pub fn write(answer: &impl Serialize) -> Result<String, JsonError> {
    let mut text = serde_json::to_string_pretty(answer).map_err(JsonError::Write)?;
    text.push('\n');
    Ok(text)
}

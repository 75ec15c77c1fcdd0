//! TTL rules: a table of conditions over a record's signals, each with a lifetime. The first that holds decides.
//!
//! Conditions are [CEL](https://cel.dev), with `now` and four functions of ours (see [`functions`]). A table is compiled
//! once, with every name in it checked, and evaluated for millions of records.

mod compile;
mod functions;

use std::time::Duration;

use cel::common::ast::IdedExpr;
use cel::common::types::{CelBool, CelTimestamp};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Value};
use jiff::Timestamp;

use crate::signals::{self, Signals};

pub use compile::RuleError;

/// A compiled table of rules. Cheap to share behind an `Arc`; evaluating takes no lock.
#[derive(Debug)]
pub struct Rules {
    rows: Vec<Row>,
    /// The signals that any row asks for, with the place where each is first named.
    named: Vec<compile::Named>,
    /// Durations and lists that stand in the conditions, made once.
    constants: Vec<Box<dyn Val>>,
}

#[derive(Debug)]
struct Row {
    /// `None`: the row holds always.
    when: Option<IdedExpr>,
    ttl: Option<Duration>,
}

/// How long a value may live, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it stays fresh; `None`: it is never kept.
    pub ttl: Option<Duration>,
    /// The row that decided, counted from 0.
    pub row: usize,
    /// Rows before it that could not be told true or false, and count as not holding. Mostly empty.
    pub notes: Vec<Note>,
}

/// A row that could not be told true or false for these signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The row, counted from 0.
    pub row: usize,
    /// What went wrong.
    pub message: String,
}

impl Rules {
    /// Compiles a table: pairs of a CEL condition and a lifetime (`None`: never kept). The last row, and no other, has no
    /// condition.
    ///
    /// # Errors
    ///
    /// [`RuleError`] for the first row that is wrong: not CEL, an unknown function, a wrong number of arguments, an
    /// unreadable duration, a condition that is true or false for no signals whatever.
    pub fn compile(rows: &[(Option<&str>, Option<Duration>)]) -> Result<Rules, RuleError> {
        compile::compile(rows)
    }

    /// The names of the signals that the rows ask for.
    pub fn signals(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| named.name.as_str())
    }

    /// Checks that every signal asked for is one of `known`. A signal that no record has would be absent for ever.
    ///
    /// # Errors
    ///
    /// [`RuleError`] for the first that is not, saying where it stands and what is known.
    pub fn check_signals<S: AsRef<str>>(&self, known: &[S]) -> Result<(), RuleError> {
        compile::check_signals(&self.named, known)
    }

    /// How long a value with these signals may live from `now` on. Never fails: the last row always holds.
    ///
    /// A signal that the rows name and the record lacks is `null` to them.
    pub fn lifetime(&self, signals: &Signals, now: Timestamp) -> Lifetime {
        let scope = Scope {
            rules: self,
            signals,
            now: signals::rule_time(now),
        };
        let mut context = Context::with_env(functions::environment());
        context.set_variable_resolver(&scope);
        let mut notes = Vec::new();
        for (position, row) in self.rows.iter().enumerate() {
            let held = match &row.when {
                None => Ok(true),
                Some(when) => holds(when, &context),
            };
            match held {
                Ok(true) => {
                    return Lifetime {
                        ttl: row.ttl,
                        row: position,
                        notes,
                    };
                }
                Ok(false) => {}
                Err(message) => notes.push(Note {
                    row: position,
                    message,
                }),
            }
        }
        // Unreachable: `compile` demands a last row without a condition. Not kept is the safe answer.
        Lifetime {
            ttl: None,
            row: self.rows.len(),
            notes,
        }
    }
}

fn holds(when: &IdedExpr, context: &Context<'_, '_>) -> Result<bool, String> {
    let value = Value::resolve_val(when, context).map_err(|error| error.to_string())?;
    match value.as_ref().downcast_ref::<CelBool>() {
        Some(flag) => Ok(*flag.inner()),
        None => Err(format!(
            "the condition is {}, which is neither true nor false",
            value.get_type().name()
        )),
    }
}

/// What the names in a condition mean.
struct Scope<'a> {
    rules: &'a Rules,
    signals: &'a Signals,
    now: CelTimestamp,
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(position) = compile::constant_position(name) {
            let constant = self.rules.constants.get(position)?;
            return Some(CowVal::Borrowed(constant.as_ref()));
        }
        if name == compile::NOW {
            return Some(CowVal::Borrowed(&self.now));
        }
        if let Some(value) = self.signals.find(name) {
            return Some(CowVal::Borrowed(value));
        }
        let named = self.rules.named.iter().any(|named| named.name == name);
        named.then(signals::absent)
    }
}

#[cfg(test)]
mod tests;

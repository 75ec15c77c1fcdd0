//! From the text of conditions to something that can be evaluated quickly, with every name checked.

use std::time::Duration;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};
use cel::common::types::{CelList, CelString};
use cel::common::value::Val;
use cel::parser::ParseErrors;
use cel::{Context, Value};
use jiff::Timestamp;

use super::{Row, Rules, functions, holds};
use crate::signals::{Signal, Signals};

/// Why a table of rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {}, column {column}: {problem}", row + 1)]
pub struct RuleError {
    /// The row, counted from 0.
    pub row: usize,
    /// The column in the row's condition, counted from 1, in characters.
    pub column: usize,
    /// What is wrong there, and what is allowed.
    pub problem: String,
}

/// A signal that a condition asks for, and where.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub name: String,
    row: usize,
    column: usize,
}

/// The moment of evaluation, in conditions.
pub(super) const NOW: &str = "now";

/// What the names of constants begin with. No CEL text can name them.
const CONSTANT: &str = "@constant";

/// Most rows of a table.
const ROWS_MAX: usize = 64;

/// Most bytes of a condition.
const CONDITION_BYTES_MAX: usize = 4_096;

pub(super) fn constant_position(name: &str) -> Option<usize> {
    name.strip_prefix(CONSTANT)?.parse().ok()
}

pub(super) fn compile(rows: &[(Option<&str>, Option<Duration>)]) -> Result<Rules, RuleError> {
    let mut rules = Rules {
        rows: Vec::with_capacity(rows.len()),
        named: Vec::new(),
        constants: Vec::new(),
    };
    let at_start = |row: usize, problem: String| RuleError {
        row,
        column: 1,
        problem,
    };
    if rows.is_empty() || rows.len() > ROWS_MAX {
        return Err(at_start(
            0,
            format!("a table has 1 to {ROWS_MAX} rows, not {}", rows.len()),
        ));
    }
    for (position, (when, ttl)) in rows.iter().enumerate() {
        let is_last = position + 1 == rows.len();
        let when = match when {
            None if is_last => None,
            Some(text) if !is_last => Some(condition(&mut rules, position, text)?),
            None => {
                let problem = "there is no condition: only the last row may hold always";
                return Err(at_start(position, problem.to_owned()));
            }
            Some(_) => {
                let problem = "the last row must hold always: give it no condition";
                return Err(at_start(position, problem.to_owned()));
            }
        };
        rules.rows.push(Row { when, ttl: *ttl });
    }
    for position in 0..rules.rows.len() {
        check_decidable(&rules, position).map_err(|problem| at_start(position, problem))?;
    }
    Ok(rules)
}

pub(super) fn check_signals<S: AsRef<str>>(named: &[Named], known: &[S]) -> Result<(), RuleError> {
    let Some(stranger) = named
        .iter()
        .find(|named| !known.iter().any(|known| known.as_ref() == named.name))
    else {
        return Ok(());
    };
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    Err(RuleError {
        row: stranger.row,
        column: stranger.column,
        problem: format!(
            "there is no signal `{}`; known here: {NOW}, {}",
            stranger.name,
            known.join(", ")
        ),
    })
}

fn condition(rules: &mut Rules, row: usize, text: &str) -> Result<IdedExpr, RuleError> {
    if text.len() > CONDITION_BYTES_MAX {
        return Err(RuleError {
            row,
            column: 1,
            problem: format!("the condition is longer than {CONDITION_BYTES_MAX} bytes"),
        });
    }
    let (mut expression, source) = functions::environment()
        .parser()
        .parse_with_source_info(text)
        .map_err(|errors| syntax_error(row, text, &errors))?;
    let mut reader = Reader {
        rules,
        row,
        text,
        source,
        bound: Vec::new(),
    };
    reader.read(&mut expression)?;
    Ok(expression)
}

fn syntax_error(row: usize, text: &str, errors: &ParseErrors) -> RuleError {
    let (column, message) = errors.errors.first().map_or((1, "not CEL"), |error| {
        let lines_before: usize = text
            .split_inclusive('\n')
            .take(usize::try_from(error.pos.0 - 1).unwrap_or(0))
            .map(|line| line.chars().count())
            .sum();
        let column = lines_before + usize::try_from(error.pos.1).unwrap_or(0);
        (column.max(1), error.msg.as_str())
    });
    RuleError {
        row,
        column,
        problem: format!("`{text}` is no CEL condition: {message}"),
    }
}

/// Walks one condition: checks its names, gives `now` to the functions that need it, and makes its constants.
struct Reader<'a> {
    rules: &'a mut Rules,
    row: usize,
    text: &'a str,
    source: SourceInfo,
    /// Names that a comprehension binds, innermost last.
    bound: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, node: &mut IdedExpr) -> Result<(), RuleError> {
        let id = node.id;
        if let Some(constant) = self.constant(node)? {
            let name = format!("{CONSTANT}{}", self.rules.constants.len());
            self.rules.constants.push(constant);
            node.expr = Expr::Ident(name);
            return Ok(());
        }
        match &mut node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                let name = name.clone();
                self.name(id, &name);
                Ok(())
            }
            Expr::Call(call) => self.call(id, call),
            Expr::Select(select) => self.read(&mut select.operand),
            Expr::List(list) => list
                .elements
                .iter_mut()
                .try_for_each(|node| self.read(node)),
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .try_for_each(|entry| match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        self.read(&mut entry.key)?;
                        self.read(&mut entry.value)
                    }
                    EntryExpr::StructField(field) => self.read(&mut field.value),
                }),
            Expr::Struct(structure) => {
                let problem = format!("there is no type `{}` here", structure.type_name);
                Err(self.error(id, problem))
            }
            Expr::Comprehension(comprehension) => {
                self.read(&mut comprehension.iter_range)?;
                let outer = self.bound.len();
                self.bound.push(comprehension.iter_var.clone());
                self.bound.extend(comprehension.iter_var2.clone());
                self.bound.push(comprehension.accu_var.clone());
                let inner = [
                    &mut comprehension.accu_init,
                    &mut comprehension.loop_cond,
                    &mut comprehension.loop_step,
                    &mut comprehension.result,
                ];
                for node in inner {
                    self.read(node)?;
                }
                self.bound.truncate(outer);
                Ok(())
            }
        }
    }

    fn name(&mut self, id: u64, name: &str) {
        let is_ours =
            name == NOW || name.starts_with('@') || self.bound.iter().any(|bound| bound == name);
        if is_ours || self.rules.named.iter().any(|named| named.name == name) {
            return;
        }
        self.rules.named.push(Named {
            name: name.to_owned(),
            row: self.row,
            column: self.column(id),
        });
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> Result<(), RuleError> {
        let is_word = call
            .func_name
            .starts_with(|first: char| first.is_ascii_alphabetic());
        if is_word {
            let given = call.args.len() + usize::from(call.target.is_some());
            let known = functions::ALLOWED
                .iter()
                .find(|(name, ..)| *name == call.func_name);
            let Some((name, fewest, most)) = known else {
                let allowed: Vec<&str> =
                    functions::ALLOWED.iter().map(|(name, ..)| *name).collect();
                let problem = format!(
                    "there is no function `{}`; allowed here: {}",
                    call.func_name,
                    allowed.join(", ")
                );
                return Err(self.call_error(id, &call.func_name, problem));
            };
            if !(*fewest..=*most).contains(&given) {
                let problem = format!("`{name}` takes {fewest} arguments, not {given}");
                return Err(self.call_error(id, name, problem));
            }
        }
        if let Some(target) = &mut call.target {
            self.read(target)?;
        }
        call.args.iter_mut().try_for_each(|node| self.read(node))?;
        if functions::TAKES_NOW.contains(&call.func_name.as_str()) {
            call.args.push(IdedExpr {
                id,
                expr: Expr::Ident(NOW.to_owned()),
            });
        }
        Ok(())
    }

    /// A duration written out, or a list of texts: made once, not for every record.
    fn constant(&self, node: &IdedExpr) -> Result<Option<Box<dyn Val>>, RuleError> {
        match &node.expr {
            Expr::Call(call) if call.func_name == "duration" && call.target.is_none() => {
                let [argument] = call.args.as_slice() else {
                    return Ok(None);
                };
                if !matches!(argument.expr, Expr::Literal(LiteralValue::String(_))) {
                    return Ok(None);
                }
                let context = Context::with_env(functions::environment());
                let duration = Value::resolve_val(node, &context).map_err(|_| {
                    let problem = "no duration: write hours, minutes and seconds, as in `duration('36h')` or `duration('90m')`";
                    self.error(argument.id, problem.to_owned())
                })?;
                Ok(Some(duration.as_ref().clone_as_boxed()))
            }
            Expr::List(list) if !list.elements.is_empty() => {
                let texts: Option<Vec<Box<dyn Val>>> = list
                    .elements
                    .iter()
                    .map(|element| match &element.expr {
                        Expr::Literal(LiteralValue::String(text)) => {
                            let text = CelString::from(text.inner().to_owned());
                            Some(Box::new(text) as Box<dyn Val>)
                        }
                        _ => None,
                    })
                    .collect();
                Ok(texts.map(|texts| Box::new(CelList::from(texts)) as Box<dyn Val>))
            }
            _ => Ok(None),
        }
    }

    /// CEL places a call at its parenthesis; people look for the name before it.
    fn call_error(&self, id: u64, function: &str, problem: String) -> RuleError {
        let mut error = self.error(id, problem);
        let before: String = self.text.chars().take(error.column - 1).collect();
        if before.ends_with(function) {
            error.column -= function.chars().count();
        }
        error
    }

    fn error(&self, id: u64, problem: String) -> RuleError {
        RuleError {
            row: self.row,
            column: self.column(id),
            problem,
        }
    }

    fn column(&self, id: u64) -> usize {
        // Counted in bytes there.
        let start = self.source.offset_for(id).map_or(0, |(start, _)| start);
        let start = usize::try_from(start).unwrap_or(0);
        1 + self
            .text
            .char_indices()
            .take_while(|(at, _)| *at < start)
            .count()
    }
}

/// A condition that no signals make true or false is a mistake that can be told without any record.
fn check_decidable(rules: &Rules, position: usize) -> Result<(), String> {
    let Some(when) = &rules.rows[position].when else {
        return Ok(());
    };
    if rules.named.len() > SIGNALS_TRIED_MAX {
        return Ok(());
    }
    let samples = [
        None,
        Some(Signal::Flag(true)),
        Some(Signal::Time(Timestamp::UNIX_EPOCH)),
        Some(Signal::Text("text".to_owned())),
        Some(Signal::Number(1.0)),
    ];
    let mut last = String::new();
    let mut signals = Signals::default();
    for attempt in 0..samples
        .len()
        .pow(u32::try_from(rules.named.len()).unwrap_or(0))
    {
        let mut choice = attempt;
        for named in &rules.named {
            signals.set(&named.name, samples[choice % samples.len()].clone());
            choice /= samples.len();
        }
        let scope = super::Scope {
            rules,
            signals: &signals,
            now: crate::signals::rule_time(Timestamp::UNIX_EPOCH),
        };
        let mut context = Context::with_env(functions::environment());
        context.set_variable_resolver(&scope);
        match holds(when, &context) {
            Ok(_) => return Ok(()),
            Err(message) => last = message,
        }
    }
    Err(format!("it can be neither true nor false: {last}"))
}

/// With more signals than these, not every combination of their kinds is tried.
const SIGNALS_TRIED_MAX: usize = 5;

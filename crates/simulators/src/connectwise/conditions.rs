//! The language of `conditions`: `field operator value`, joined by `and` and `or`, with parentheses.
//!
//! Names and key words are taken in any case. Comparing with a value that is missing is never true, as in the database
//! below the service; only `= null` and `!= null` ask for it.

mod columns;
mod tokens;

pub(crate) use columns::{Asked, Column, Scalar};

use columns::Literal;
use jiff::Timestamp;
use tokens::{Token, tokens};

/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 50;

/// A condition that has been read.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Test {
        column: Column,
        op: Op,
        not: bool,
        value: Vec<Literal>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    Like,
    In,
}

/// Reads `text`; columns are looked up by `asked`.
///
/// # Errors
///
/// A message for the client.
pub(crate) fn parse(text: &str, asked: Asked) -> Result<Expr, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        asked,
    };
    let expr = reader.any(0)?;
    match reader.peek() {
        None => Ok(expr),
        Some(token) => Err(format!("Unexpected {token} after the condition")),
    }
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    asked: Asked,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.ok_or_else(|| "The condition ends too early".into())
    }

    fn word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Expr, String> {
        let mut parts = vec![self.all(depth)?];
        while self.word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Expr::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, String> {
        let mut parts = vec![self.one(depth)?];
        while self.word("and") {
            parts.push(self.one(depth)?);
        }
        Ok(one_or(parts, Expr::And))
    }

    fn one(&mut self, depth: usize) -> Result<Expr, String> {
        match self.next()? {
            Token::Open if depth >= DEPTH_MAX => Err("The condition is nested too deep".into()),
            Token::Open => {
                let inner = self.any(depth + 1)?;
                match self.next()? {
                    Token::Close => Ok(inner),
                    token => Err(format!("Expected ) and found {token}")),
                }
            }
            Token::Word(path) => {
                let column = self.asked.column(&path)?;
                let not = self.word("not");
                let op = match self.next()? {
                    Token::Operator(op) if !not => op,
                    Token::Word(word) if word.eq_ignore_ascii_case("contains") => Op::Contains,
                    Token::Word(word) if word.eq_ignore_ascii_case("like") => Op::Like,
                    Token::Word(word) if word.eq_ignore_ascii_case("in") => Op::In,
                    token => {
                        return Err(format!(
                            "Expected an operator after '{path}' and found {token}"
                        ));
                    }
                };
                let value = match op {
                    Op::In => self.list()?,
                    _ => vec![self.literal()?],
                };
                column.check(&path, op, &value)?;
                Ok(Expr::Test {
                    column,
                    op,
                    not,
                    value,
                })
            }
            token => Err(format!("Expected a field and found {token}")),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, String> {
        match self.next()? {
            Token::Open => {}
            token => return Err(format!("Expected ( after 'in' and found {token}")),
        }
        let mut values = vec![self.literal()?];
        loop {
            match self.next()? {
                Token::Comma => values.push(self.literal()?),
                Token::Close => return Ok(values),
                token => return Err(format!("Expected , or ) and found {token}")),
            }
        }
    }

    fn literal(&mut self) -> Result<Literal, String> {
        let token = self.next()?;
        Ok(match token {
            Token::Text(text) => Literal::Text(text),
            Token::Number(number) => Literal::Number(number),
            Token::Time(text) => Literal::Time(
                instant(&text).ok_or_else(|| format!("[{text}] is not a valid datetime"))?,
            ),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Literal::Null,
            token => return Err(format!("Expected a value and found {token}. {RULES}")),
        })
    }
}

/// What the service says about literals when one is wrong.
pub(crate) const RULES: &str = "String values must be enclosed in quotes, datetimes in square brackets; booleans are True or False, integers and decimals are plain digits";

fn one_or(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        join(parts)
    }
}

/// Date and time with `Z`, an offset, or no zone (taken as UTC), with or without fractions; or a date alone.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let naive = text.parse::<jiff::civil::DateTime>().or_else(|_| {
        text.parse::<jiff::civil::Date>()
            .map(|day| day.at(0, 0, 0, 0))
    });
    naive
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|at| at.timestamp())
}

impl Expr {
    /// Whether the record holds it; `of` answers the value of a column.
    pub(crate) fn holds<'a>(&'a self, of: &dyn Fn(&'a Column) -> Scalar<'a>) -> bool {
        match self {
            Expr::And(parts) => parts.iter().all(|part| part.holds(of)),
            Expr::Or(parts) => parts.iter().any(|part| part.holds(of)),
            Expr::Test {
                column,
                op,
                not,
                value,
            } => test(&of(column), *op, *not, value),
        }
    }
}

fn test(found: &Scalar<'_>, op: Op, not: bool, value: &[Literal]) -> bool {
    let first = &value[0];
    match (op, first) {
        (Op::Equal, Literal::Null) => return found.is_null(),
        (Op::NotEqual, Literal::Null) => return !found.is_null(),
        _ if found.is_null() => return false,
        _ => {}
    }
    let order = |literal: &Literal| found.compare(literal);
    let holds = match op {
        Op::Equal => order(first).is_some_and(|o| o.is_eq()),
        Op::NotEqual => order(first).is_some_and(|o| o.is_ne()),
        Op::Less => order(first).is_some_and(|o| o.is_lt()),
        Op::LessOrEqual => order(first).is_some_and(|o| o.is_le()),
        Op::Greater => order(first).is_some_and(|o| o.is_gt()),
        Op::GreaterOrEqual => order(first).is_some_and(|o| o.is_ge()),
        Op::In => value
            .iter()
            .any(|literal| order(literal).is_some_and(|o| o.is_eq())),
        Op::Contains => {
            let (text, part) = (found.lower(), first.lower());
            text.contains(&part)
        }
        Op::Like => like(&first.lower(), &found.lower()),
    };
    holds != not
}

/// Whether `text` fits `pattern`: `*` and `%` stand for anything, `[[]` for a bracket.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<Option<char>> = {
        let mut parts = vec![];
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("[[]") {
                parts.push(Some('['));
                rest = after;
            } else {
                parts.push((first != '*' && first != '%').then_some(first));
                rest = &rest[first.len_utf8()..];
            }
        }
        parts
    };
    let text: Vec<char> = text.chars().collect();
    // The classic two pointers: on a mismatch the last wildcard takes one character more.
    let (mut at, mut with, mut star, mut from) = (0, 0, None, 0);
    while at < text.len() {
        match pattern.get(with) {
            Some(Some(one)) if *one == text[at] => (at, with) = (at + 1, with + 1),
            Some(None) => {
                (star, from) = (Some(with), at);
                with += 1;
            }
            _ => match star {
                Some(last) => {
                    from += 1;
                    (at, with) = (from, last + 1);
                }
                None => return false,
            },
        }
    }
    pattern[with..].iter().all(Option::is_none)
}

#[cfg(test)]
mod tests;

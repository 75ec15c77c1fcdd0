//! Words, operators and literals of a condition.

use super::Op;
use std::fmt;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A field with its slashes, or a key word.
    Word(String),
    Operator(Op),
    /// What stood between quotes.
    Text(String),
    /// What stood between brackets.
    Time(String),
    Number(f64),
    Open,
    Close,
    Comma,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "'{word}'"),
            Token::Operator(_) => f.write_str("an operator"),
            Token::Text(text) => write!(f, "\"{text}\""),
            Token::Time(text) => write!(f, "[{text}]"),
            Token::Number(number) => write!(f, "{number}"),
            Token::Open => f.write_str("("),
            Token::Close => f.write_str(")"),
            Token::Comma => f.write_str(","),
        }
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            ',' => (Token::Comma, &rest[1..]),
            '"' | '\'' => {
                let (inner, after) = rest[1..]
                    .split_once(first)
                    .ok_or_else(|| format!("The string that begins at {rest} does not end"))?;
                (Token::Text(inner.to_owned()), after)
            }
            '[' => {
                let (inner, after) = rest[1..]
                    .split_once(']')
                    .ok_or_else(|| format!("The datetime that begins at {rest} does not end"))?;
                (Token::Time(inner.to_owned()), after)
            }
            '=' => (Token::Operator(Op::Equal), &rest[1..]),
            '!' if rest.starts_with("!=") => (Token::Operator(Op::NotEqual), &rest[2..]),
            '<' if rest.starts_with("<>") => (Token::Operator(Op::NotEqual), &rest[2..]),
            '<' if rest.starts_with("<=") => (Token::Operator(Op::LessOrEqual), &rest[2..]),
            '<' => (Token::Operator(Op::Less), &rest[1..]),
            '>' if rest.starts_with(">=") => (Token::Operator(Op::GreaterOrEqual), &rest[2..]),
            '>' => (Token::Operator(Op::Greater), &rest[1..]),
            '0'..='9' | '-' | '.' => {
                let end = rest[1..]
                    .find(|c: char| !c.is_ascii_digit() && c != '.')
                    .map_or(rest.len(), |at| at + 1);
                let number = rest[..end]
                    .parse()
                    .map_err(|_| format!("'{}' is not a number", &rest[..end]))?;
                (Token::Number(number), &rest[end..])
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '/')
                    .unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), &rest[end..])
            }
            other => return Err(format!("Unexpected '{other}' in the condition")),
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

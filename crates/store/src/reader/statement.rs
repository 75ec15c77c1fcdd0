//! What may pass the door: one statement that reads, with no function that reaches beyond its own rows.
//!
//! The role, a read-only transaction and the extended protocol are the walls; this is the doorman, who can say
//! why. It also keeps out what those walls let through: functions that change the session, signal or
//! watch other sessions, take locks, or run text as SQL (which would hide such a call from us).

use super::error::QueryError;

/// Names that may not occur, as a function or otherwise.
const FORBIDDEN: &[&str] = &[
    "set_config",
    "pg_notify",
    "pg_logical_emit_message",
    "pg_export_snapshot",
    "pg_cancel_backend",
    "pg_terminate_backend",
    "pg_stat_activity",
    "pg_stat_get_activity",
    "pg_stat_statements",
    "pg_stat_ssl",
    "pg_stat_gssapi",
    "pg_stat_replication",
    "pg_largeobject",
    "pg_reload_conf",
    "nextval",
    "setval",
    "ts_stat",
    "ts_rewrite",
    "cursor_to_xml",
    "cursor_to_xmlschema",
];
/// Beginnings of such names.
const FORBIDDEN_PREFIXES: &[&str] = &[
    "lo_",
    "dblink",
    "pg_advisory_",
    "pg_try_advisory_",
    "pg_stat_get_backend",
    "pg_replication_",
    "pg_logical_slot",
    "pg_create_",
    "pg_read_",
    "pg_ls_",
    "query_to_xml",
    "table_to_xml",
    "schema_to_xml",
    "database_to_xml",
];

/// Longest statement, in bytes.
const SQL_BYTES_MAX: usize = 1 << 20;

/// How an admitted statement is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a subquery of ours.
    Select,
    /// As it stands: its answer is text.
    Text,
}

/// Admits a statement and returns it without its final semicolon.
pub(super) fn admit(sql: &str) -> Result<(Kind, &str), QueryError> {
    let not_allowed = |what: String| QueryError::NotAllowed { what };
    if sql.len() > SQL_BYTES_MAX {
        return Err(not_allowed(format!(
            "a statement of more than {SQL_BYTES_MAX} bytes"
        )));
    }
    if sql.contains('\0') {
        return Err(not_allowed("a NUL character".to_owned()));
    }
    let mut kind = None;
    let mut end = sql.len();
    let mut ended = false;
    for token in Tokens::new(sql) {
        if ended {
            return Err(not_allowed("more than one statement".to_owned()));
        }
        match token {
            Token::Semicolon(at) => {
                (ended, end) = (true, at);
            }
            Token::Word(word) => {
                kind.get_or_insert_with(|| first_word(&word));
                check_name(&word)?;
            }
            Token::UnicodeName => return Err(not_allowed("a name written as U&\"…\"".to_owned())),
            Token::OpenParen => {}
            Token::Other => {
                kind.get_or_insert_with(|| {
                    Err("a statement that begins with neither word nor `(`".to_owned())
                });
            }
        }
    }
    match kind {
        Some(Ok(kind)) => Ok((kind, &sql[..end])),
        Some(Err(what)) => Err(not_allowed(what)),
        None => Err(not_allowed("an empty statement".to_owned())),
    }
}

/// The statement that `EXPLAIN ANALYZE` would run, with spaces before it so that its places are those of `sql`; `None`:
/// this runs nothing.
pub(super) fn analyzed(sql: &str) -> Option<String> {
    const OF_EXPLAIN: [&str; 3] = ["analyze", "analyse", "verbose"];
    const READS: [&str; 4] = ["select", "with", "values", "table"];
    let mut tokens = Tokens::new(sql);
    if tokens.next() != Some(Token::Word("explain".to_owned())) {
        return None;
    }
    let mut runs = false;
    let mut start = tokens.at;
    let mut depth = 0;
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) if OF_EXPLAIN.contains(&word.as_str()) => {
                runs |= word != "verbose";
                start = tokens.at;
            }
            // The parenthesis before it, if there is one, is the statement's own.
            Token::Word(word) if READS.contains(&word.as_str()) => break,
            Token::OpenParen => depth += 1,
            Token::Other if sql[..tokens.at].ends_with(')') && depth == 1 => {
                depth = 0;
                start = tokens.at;
            }
            _ => {}
        }
    }
    let before = sql[..start].chars().count();
    runs.then(|| format!("{}{}", " ".repeat(before), &sql[start..]))
}

fn first_word(word: &str) -> Result<Kind, String> {
    match word {
        "select" | "with" | "values" | "table" => Ok(Kind::Select),
        "explain" | "show" => Ok(Kind::Text),
        other => Err(format!("`{}`", other.to_uppercase())),
    }
}

fn check_name(name: &str) -> Result<(), QueryError> {
    let forbidden = FORBIDDEN.contains(&name)
        || FORBIDDEN_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if forbidden {
        return Err(QueryError::NotAllowed {
            what: format!("`{name}`"),
        });
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A keyword or name, folded as PostgreSQL folds it; a quoted name as it stands.
    Word(String),
    UnicodeName,
    Semicolon(usize),
    OpenParen,
    Other,
}

/// Splits SQL as PostgreSQL's scanner does, as far as matters here. What it does not close, PostgreSQL refuses.
struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn new(sql: &'a str) -> Self {
        Self { sql, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    /// Moves past the next `end`, or to the end of the text.
    fn skip_past(&mut self, end: &str) {
        self.at = self
            .rest()
            .find(end)
            .map_or(self.sql.len(), |found| self.at + found + end.len());
    }

    /// Comments nest.
    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            }
        }
    }

    /// From after the opening quote to after the closing one; doubled quotes are part of the text.
    fn quoted(&mut self, quote: char, backslashes: bool) -> String {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if backslashes && c == '\\' {
                chars.next();
            } else if c == quote {
                if chars.next_if(|(_, next)| *next == quote).is_none() {
                    self.at += at + c.len_utf8();
                    return text;
                }
                text.push(quote);
            } else {
                text.push(c);
            }
        }
        self.at = self.sql.len();
        text
    }

    /// `$tag$ … $tag$`; false when it is no such string.
    fn skip_dollar_quoted(&mut self) -> bool {
        let rest = self.rest();
        let tag_len = rest[1..]
            .find(|c: char| !is_word(c))
            .map_or(rest.len(), |found| found + 1);
        let is_tag = rest[tag_len..].starts_with('$')
            && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if !is_tag {
            return false;
        }
        let tag = &rest[..=tag_len];
        self.at += tag.len();
        self.skip_past(tag);
        true
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = self.rest();
            let c = rest.chars().next()?;
            if c.is_ascii_whitespace() || c == '\u{b}' {
                self.at += 1;
            } else if rest.starts_with("--") {
                let line_end = rest.find(['\n', '\r']).unwrap_or(rest.len());
                self.at += line_end;
            } else if rest.starts_with("/*") {
                self.skip_block_comment();
            } else {
                break;
            }
        }
        let rest = self.rest();
        let start = self.at;
        let c = rest.chars().next()?;
        if starts_word(c) {
            let len = rest
                .find(|c: char| !is_word(c) && c != '$')
                .unwrap_or(rest.len());
            let word = rest[..len].to_lowercase();
            self.at += len;
            if self.rest().starts_with('\'') && word == "e" {
                self.at += 1;
                self.quoted('\'', true);
                return Some(Token::Other);
            }
            if self.rest().starts_with("&\"") && word == "u" {
                self.at += 2;
                self.quoted('"', false);
                return Some(Token::UnicodeName);
            }
            return Some(Token::Word(word));
        }
        self.at += c.len_utf8();
        Some(match c {
            ';' => Token::Semicolon(start),
            '(' => Token::OpenParen,
            '\'' => {
                self.quoted('\'', false);
                Token::Other
            }
            '"' => Token::Word(self.quoted('"', false)),
            '$' => {
                self.at = start;
                if !self.skip_dollar_quoted() {
                    self.at = start + 1;
                }
                Token::Other
            }
            _ => Token::Other,
        })
    }
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word(c: char) -> bool {
    starts_word(c) || c.is_ascii_digit()
}

#[cfg(test)]
mod tests;

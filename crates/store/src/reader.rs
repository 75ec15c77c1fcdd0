//! The SQL door: queries of users under a role that can only read.
//!
//! Four walls, each enough against writing: the statement must be one that reads (see `statement`), it runs as a
//! subquery of ours, in a read-only transaction that is always rolled back, under a role that was granted
//! nothing but `SELECT`. Time, rows, bytes and the number of queries at once are limited from outside.

mod cells;
mod error;
mod role;
mod session;
mod statement;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::postgres::{PgConnection, PgPool, PgRow, PgTypeInfo};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use self::cells::Shape;
pub use self::error::{QueryError, RoleError};
pub use self::role::{ReaderRole, ensure_reader_role, role_of};
use self::session::Sessions;
use self::statement::Kind;

/// How much longer than the database we wait for its own time-out before we hang up.
const HANG_UP_AFTER: Duration = Duration::from_millis(500);
/// No row is asked for with more than this many bytes per cell, however few there are.
const CELL_BYTES_FLOOR: usize = 1024;

/// How much one query may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most rows that are answered.
    pub rows_max: usize,
    /// Most bytes of all rows together, as JSON. One row may pass it by one cell.
    pub bytes_max: usize,
    /// Most characters of one value; longer ones are cut and become text.
    pub cell_chars_max: usize,
    /// Longest time, waiting for a free place included.
    pub timeout: Duration,
}

impl Default for Limits {
    /// 10,000 rows, 16 MiB, 1 Mi characters a value, 30 s.
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            bytes_max: 16 << 20,
            cell_chars_max: 1 << 20,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name, as the query gives it; not necessarily unique.
    pub name: String,
    /// PostgreSQL's name of its type, `int8`, `text[]`.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// Why an answer is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncated {
    /// There are more rows than [`Limits::rows_max`].
    Rows,
    /// The rest would pass [`Limits::bytes_max`].
    Bytes,
    /// All rows are there, but some values were cut at [`Limits::cell_chars_max`].
    Cells,
}

/// What a query found.
#[derive(Debug, Serialize)]
pub struct QueryAnswer {
    /// The columns, also when there are no rows.
    pub columns: Vec<Column>,
    /// One JSON array for each row. Numbers have all their digits, JSON is as it is stored, stamps are RFC 3339.
    pub rows: Vec<Box<RawValue>>,
    /// Why this is not all, if it is not.
    pub truncated: Option<Truncated>,
    /// How long it took, without the wait for a free place.
    #[serde(rename = "duration_ms", serialize_with = "as_millis")]
    pub duration: Duration,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// The door. Cheap to clone; clones share its places.
#[derive(Debug, Clone)]
pub struct Reader {
    sessions: Arc<Sessions>,
}

impl Reader {
    /// Opens the door on the mirror that `owner` is connected to, for at most `concurrent_max` queries at once.
    /// Makes the role and its grants if need be.
    ///
    /// # Errors
    ///
    /// See [`ensure_reader_role`].
    pub async fn open(owner: &PgPool, concurrent_max: usize) -> Result<Self, RoleError> {
        let role = ensure_reader_role(owner).await?;
        Ok(Self {
            sessions: Arc::new(Sessions::new(owner.clone(), &role, concurrent_max.max(1))),
        })
    }

    /// Answers one statement. `params` are the values of `$1`, `$2`, …; their types follow from the statement.
    ///
    /// A table that was made after the door was opened is found too. Dropping the future stops the query within
    /// a second, and gives its place back at once.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotAllowed`] and [`QueryError::Refused`] are the caller's to mend, the others ours.
    pub async fn query(
        &self,
        sql: &str,
        params: &[serde_json::Value],
        limits: &Limits,
    ) -> Result<QueryAnswer, QueryError> {
        let deadline = Instant::now() + limits.timeout;
        let (kind, sql) = statement::admit(sql)?;
        let _place = self.sessions.take_place(limits.timeout).await?;
        let mut granted = false;
        loop {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            let attempt = self.attempt(kind, sql, params, limits, left);
            let answer = match tokio::time::timeout(left + HANG_UP_AFTER, attempt).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(QueryError::TimedOut {
                        limit: limits.timeout,
                    });
                }
            };
            match answer {
                // A schema that came later: grant, and look again.
                Err(QueryError::Refused { code, .. }) if code == "42501" && !granted => {
                    granted = true;
                    self.sessions.grant_again().await?;
                }
                Err(QueryError::Refused { code, .. }) if code == "57014" => {
                    return Err(QueryError::TimedOut {
                        limit: limits.timeout,
                    });
                }
                other => return other,
            }
        }
    }

    async fn attempt(
        &self,
        kind: Kind,
        sql: &str,
        params: &[serde_json::Value],
        limits: &Limits,
        left: Duration,
    ) -> Result<QueryAnswer, QueryError> {
        let mut session = self.sessions.begin(left).await?;
        let started = Instant::now();
        let mut answer = match kind {
            Kind::Select => select(session.connection(), sql, params, limits).await,
            Kind::Text if params.is_empty() => show(session.connection(), sql, limits).await,
            Kind::Text => Err(QueryError::NotAllowed {
                what: "a parameter of EXPLAIN or SHOW".to_owned(),
            }),
        };
        let reusable = match &mut answer {
            Ok(answer) => {
                answer.duration = started.elapsed();
                // A stream that was not read to its end is not worth draining; hanging up stops it.
                answer.truncated != Some(Truncated::Bytes)
            }
            Err(error) => matches!(error, QueryError::Refused { .. }),
        };
        if reusable {
            session.give_back().await;
        }
        answer
    }
}

/// Runs a statement that reads rows, wrapped so that every value comes as text of bounded length.
async fn select(
    connection: &mut PgConnection,
    sql: &str,
    params: &[serde_json::Value],
    limits: &Limits,
) -> Result<QueryAnswer, QueryError> {
    // By itself first: what only makes sense inside our wrapper is refused here, and positions are the caller's.
    let prepared = Executor::prepare(
        &mut *connection,
        AssertSqlSafe(sql.to_owned()).into_sql_str(),
    )
    .await
    .map_err(|error| refused(error, 0))?;
    let types: Vec<PgTypeInfo> = prepared
        .columns()
        .iter()
        .map(|column| column.type_info().clone())
        .collect();
    let columns: Vec<Column> = prepared
        .columns()
        .iter()
        .map(|column| describe(column.name(), column.type_info()))
        .collect();
    let chars_max = limits
        .cell_chars_max
        .min((2 * limits.bytes_max / types.len().max(1)).max(CELL_BYTES_FLOOR));

    let mut wrapped = "SELECT ".to_owned();
    for (index, type_info) in types.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing into a String does not fail.
        let _ = match Shape::is_short(type_info) {
            true => write!(wrapped, "{comma}c{index}::text"),
            false => write!(
                wrapped,
                "{comma}left(c{index}::text, {})",
                chars_max.saturating_add(1)
            ),
        };
    }
    wrapped.push_str(" FROM (");
    let prefix = wrapped.chars().count();
    let names: Vec<String> = (0..types.len()).map(|index| format!("c{index}")).collect();
    let alias = if names.is_empty() {
        "q".to_owned()
    } else {
        format!("q({})", names.join(", "))
    };
    // The line break ends a comment at the statement's end.
    let _ = write!(
        wrapped,
        "{sql}\n) AS {alias} LIMIT {}",
        limits.rows_max.saturating_add(1)
    );

    let (statement, prefix) = if params.is_empty() {
        (wrapped, prefix)
    } else {
        // PREPARE infers the types of the parameters, and EXECUTE converts our literals to them.
        let prepare = "PREPARE millpond_query AS ";
        let prefix = prefix + prepare.len();
        let prepare = format!("{prepare}{wrapped}");
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut *connection)
            .await
            .map_err(|error| refused(error, prefix))?;
        let literals: Vec<String> = params.iter().map(literal).collect::<Result<_, _>>()?;
        // From here on PostgreSQL's positions count in the EXECUTE, which the caller has never seen.
        (
            format!("EXECUTE millpond_query({})", literals.join(", ")),
            usize::MAX,
        )
    };
    let shapes: Vec<Shape> = types.iter().map(Shape::of).collect();
    let rows = Rows {
        shapes: &shapes,
        chars_max,
        limits,
    };
    rows.read(connection, &statement, columns, prefix).await
}

/// Runs EXPLAIN or SHOW, whose values are text already.
async fn show(
    connection: &mut PgConnection,
    sql: &str,
    limits: &Limits,
) -> Result<QueryAnswer, QueryError> {
    let prepared = Executor::prepare(
        &mut *connection,
        AssertSqlSafe(sql.to_owned()).into_sql_str(),
    )
    .await
    .map_err(|error| refused(error, 0))?;
    let columns: Vec<Column> = prepared
        .columns()
        .iter()
        .map(|column| describe(column.name(), column.type_info()))
        .collect();
    let shapes: Vec<Shape> = prepared
        .columns()
        .iter()
        .map(|column| Shape::of(column.type_info()))
        .collect();
    let rows = Rows {
        shapes: &shapes,
        chars_max: limits.cell_chars_max,
        limits,
    };
    rows.read(connection, sql, columns, 0).await
}

/// How the rows of an answer are read, up to its limits.
struct Rows<'a> {
    shapes: &'a [Shape],
    chars_max: usize,
    limits: &'a Limits,
}

impl Rows<'_> {
    async fn read(
        &self,
        connection: &mut PgConnection,
        statement: &str,
        columns: Vec<Column>,
        prefix: usize,
    ) -> Result<QueryAnswer, QueryError> {
        let mut answer = QueryAnswer {
            columns,
            rows: Vec::new(),
            truncated: None,
            duration: Duration::ZERO,
        };
        let mut bytes = 0;
        let mut cut = false;
        let query = sqlx::query(AssertSqlSafe(statement.to_owned())).persistent(false);
        let mut stream = query.fetch(&mut *connection);
        while let Some(row) = stream
            .try_next()
            .await
            .map_err(|error| refused(error, prefix))?
        {
            if answer.rows.len() == self.limits.rows_max {
                answer.truncated = Some(Truncated::Rows);
                continue;
            }
            let json = self
                .row(&row, &mut cut)
                .map_err(|error| refused(error, prefix))?;
            bytes += json.len();
            if bytes > self.limits.bytes_max && !answer.rows.is_empty() {
                answer.truncated = Some(Truncated::Bytes);
                return Ok(answer);
            }
            let raw =
                RawValue::from_string(json).or_else(|_| to_raw_value(&"a row that is no JSON"));
            answer.rows.extend(raw.ok());
        }
        if cut && answer.truncated.is_none() {
            answer.truncated = Some(Truncated::Cells);
        }
        Ok(answer)
    }

    /// One row as a JSON array.
    fn row(&self, row: &PgRow, cut: &mut bool) -> Result<String, sqlx::Error> {
        let mut json = "[".to_owned();
        for (index, shape) in self.shapes.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                json.push_str("null");
                continue;
            }
            let text = value.as_str().map_err(sqlx::Error::Decode)?;
            match text.char_indices().nth(self.chars_max) {
                Some((end, _)) => {
                    *cut = true;
                    cells::write_string(&format!("{}…", &text[..end]), &mut json);
                }
                None => shape.write(text, &mut json),
            }
        }
        json.push(']');
        Ok(json)
    }
}

fn describe(name: &str, type_info: &PgTypeInfo) -> Column {
    Column {
        name: name.to_owned(),
        type_name: type_info.name().to_lowercase(),
    }
}

/// A parameter as an SQL literal without a type.
fn literal(value: &serde_json::Value) -> Result<String, QueryError> {
    let text = match value {
        serde_json::Value::Null => return Ok("NULL".to_owned()),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains('\0') {
        return Err(QueryError::NotAllowed {
            what: "a NUL character in a parameter".to_owned(),
        });
    }
    // The E form means the same whatever standard_conforming_strings says.
    Ok(format!(
        "E'{}'",
        text.replace('\\', "\\\\").replace('\'', "''")
    ))
}

/// PostgreSQL's refusal in the caller's terms: `prefix` characters of the statement are ours.
fn refused(error: sqlx::Error, prefix: usize) -> QueryError {
    let Some(refusal) = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
    else {
        return QueryError::Away { source: error };
    };
    // 57P: the server goes down; 53: it has no room left; 57014 is our own time limit.
    let code = refusal.code();
    if code.starts_with("57P") || code.starts_with("08") || code == "53300" {
        return QueryError::Away { source: error };
    }
    let position = match refusal.position() {
        Some(sqlx::postgres::PgErrorPosition::Original(position)) => {
            position.checked_sub(prefix).filter(|at| *at > 0)
        }
        _ => None,
    };
    let hint = refusal.hint().map(str::to_owned).or_else(|| match code {
        "42501" | "25006" | "0A000" => Some(format!(
            "the door takes {}, on the tables of the connectors",
            error::ALLOWED
        )),
        _ => None,
    });
    QueryError::Refused {
        message: refusal.message().to_owned(),
        code: code.to_owned(),
        position,
        detail: refusal.detail().map(str::to_owned),
        hint,
    }
}

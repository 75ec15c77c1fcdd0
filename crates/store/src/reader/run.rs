//! Running an admitted statement: wrapped, read up to its limits, and its errors in the caller's terms.

use std::fmt::Write as _;
use std::time::Duration;

use futures::TryStreamExt;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::postgres::{PgConnection, PgRow, PgTypeInfo};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::cells::{self, Shape};
use super::error::{ALLOWED, QueryError};
use super::{Column, Limits, QueryAnswer, Truncated, cost, statement};

/// No row is asked for with more than this many bytes per cell, however few there are.
const CELL_BYTES_FLOOR: usize = 1024;
/// The limits that PostgreSQL's own numbers allow.
const ROWS_MAX: usize = i64::MAX as usize - 1;
const CELL_CHARS_MAX: usize = i32::MAX as usize - 1;

/// Runs a statement that reads rows, wrapped so that every value comes as text of bounded length.
pub(super) async fn select(
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
        .min(CELL_CHARS_MAX)
        .min((2 * limits.bytes_max / types.len().max(1)).max(CELL_BYTES_FLOOR));

    let mut wrapped = "SELECT ".to_owned();
    for (index, type_info) in types.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing into a String does not fail.
        let _ = match Shape::is_short(type_info) {
            true => write!(wrapped, "{comma}c{index}::text"),
            false => write!(wrapped, "{comma}left(c{index}::text, {})", chars_max + 1),
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
        limits.rows_max.min(ROWS_MAX) + 1
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
    let estimate = cost::admit(connection, &statement, prefix, limits).await?;
    let shapes: Vec<Shape> = types.iter().map(Shape::of).collect();
    let rows = Rows {
        shapes: &shapes,
        chars_max,
        limits,
    };
    let mut answer = rows.read(connection, &statement, columns, prefix).await?;
    answer.estimate = estimate;
    Ok(answer)
}

/// Runs EXPLAIN or SHOW, whose values are text already.
pub(super) async fn show(
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
    // EXPLAIN ANALYZE runs what it explains.
    let run = statement::analyzed(sql);
    let estimate = match run.as_ref() {
        Some(run) => cost::admit(connection, run, 0, limits).await?,
        None => None,
    };
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
    let mut answer = rows.read(connection, sql, columns, 0).await?;
    answer.estimate = estimate;
    Ok(answer)
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
            estimate: None,
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

/// What PostgreSQL says of a statement that has more places than there are values.
const TOO_FEW_VALUES: &str = "08P01";

/// PostgreSQL's refusal in the caller's terms: `prefix` characters of the statement are ours.
pub(super) fn refused(error: sqlx::Error, prefix: usize) -> QueryError {
    let Some(refusal) = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
    else {
        return QueryError::Away { source: error };
    };
    // 57P: the server goes down; 53: it has no room left; 57014 is our own time limit. 08P01 is of the class of lost
    // connections, and says that a statement has more places than there are values.
    let code = refusal.code();
    let is_lost = code.starts_with("08") && code != TOO_FEW_VALUES;
    if code.starts_with("57P") || is_lost || code == "53300" {
        return QueryError::Away { source: error };
    }
    let position = match refusal.position() {
        Some(sqlx::postgres::PgErrorPosition::Original(position)) => {
            position.checked_sub(prefix).filter(|at| *at > 0)
        }
        _ => None,
    };
    let hint = refusal.hint().map(str::to_owned).or_else(|| match code {
        TOO_FEW_VALUES => Some("give a value for each of $1, $2, … under `params`".to_owned()),
        "42501" | "25006" | "0A000" => Some(format!(
            "the door takes {}, on the tables of the connectors",
            ALLOWED
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

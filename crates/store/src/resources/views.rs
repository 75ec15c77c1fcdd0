//! Flattening views: one row per record or per element of its arrays, with typed columns, so that nobody who
//! knows SQL needs to know JSON.

use sqlx::{AssertSqlSafe, Connection};

use super::{literal, text_array};
use crate::{
    ResourceName, Store,
    error::{For, Result},
    names::is_identifier,
};

/// A view to be made.
#[derive(Debug, Clone)]
pub struct ViewSpec {
    /// Its name, `cin7.sale_line`.
    pub name: ResourceName,
    /// The resource it flattens.
    pub of: ResourceName,
    /// The arrays that are unrolled, outermost first, each as the keys that lead to it.
    pub each: Vec<Vec<String>>,
    /// Where a record says in which currency its money is; `None`: in the instance's own.
    pub currency: Option<Vec<String>>,
    /// Where a record says which date's rate converts it; `None`: when it last changed.
    pub rate_date: Option<Vec<String>>,
    /// Paths of the resource that have an index of their own: a question for one of them must reach it.
    pub indexed: Vec<Vec<String>>,
    /// Its columns, after instance, id and line numbers.
    pub columns: Vec<ViewColumn>,
}

/// A column of a view.
#[derive(Debug, Clone)]
pub struct ViewColumn {
    /// Its name, a plain SQL identifier.
    pub name: String,
    /// 0: in the record; n: in the element of `each[n - 1]`.
    pub level: usize,
    /// The keys that lead to the value.
    pub path: Vec<String>,
    /// Its type.
    pub kind: ColumnKind,
    /// Whether it is money and also gets a column in the reporting currency.
    pub money: bool,
}

/// The type of a view's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// text
    Text,
    /// numeric, exact
    Numeric,
    /// timestamptz
    Timestamptz,
    /// date
    Date,
    /// boolean
    Boolean,
    /// bigint
    Integer,
    /// jsonb
    Jsonb,
}

impl Store {
    /// Makes the views of one connector, replacing those of earlier versions of it.
    ///
    /// # Errors
    ///
    /// The database's own, and [`crate::StoreError::Refused`] when somebody's own view depends on one that changed.
    pub async fn ensure_views(&self, views: &[ViewSpec]) -> Result<()> {
        let mut connection = self.pool().acquire().await.to("make views")?;
        let mut tx = connection.begin().await.to("make views")?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('millpond.tables', 0))")
            .execute(&mut *tx)
            .await
            .to("make views")?;
        // From version 15 on a view can look with its reader's eyes, so that tenants may have it.
        let version: String = sqlx::query_scalar("SHOW server_version_num")
            .fetch_one(&mut *tx)
            .await
            .to("make views")?;
        let with = match version.parse() {
            Ok(150_000_u32..) => " WITH (security_invoker = true)",
            _ => "",
        };
        for view in views {
            let select = format!("{with} AS {}", select(view));
            let mark = format!(
                "millpond {:x}",
                xxhash_rust::xxh3::xxh3_64(select.as_bytes())
            );
            let old: Option<Option<String>> =
                sqlx::query_scalar("SELECT obj_description(to_regclass($1), 'pg_class') WHERE to_regclass($1) IS NOT NULL")
                    .bind(view.name.sql())
                    .fetch_optional(&mut *tx)
                    .await
                    .to("look for a view")?;
            match old {
                Some(Some(old)) if old == mark => continue,
                Some(_) => {
                    sqlx::query(AssertSqlSafe(format!("DROP VIEW {}", view.name.sql())))
                        .execute(&mut *tx)
                        .await
                        .to("replace a view that another view depends on")?;
                }
                None => {}
            }
            for statement in [
                format!("CREATE VIEW {}{select}", view.name.sql()),
                format!("COMMENT ON VIEW {} IS '{mark}'", view.name.sql()),
            ] {
                sqlx::query(AssertSqlSafe(statement))
                    .execute(&mut *tx)
                    .await
                    .to("make a view")?;
            }
        }
        tx.commit().await.to("make views")
    }
}

fn select(view: &ViewSpec) -> String {
    let mut columns = vec!["r.instance".to_owned(), "r.id".to_owned()];
    if view.each.len() > 1 {
        columns.push("e1.line AS outer_line".to_owned());
    }
    if !view.each.is_empty() {
        columns.push(format!("e{}.line AS line", view.each.len()));
    }
    let has_money = view.columns.iter().any(|c| c.money);
    for column in view.columns.iter().filter(|c| is_identifier(&c.name)) {
        let value = value(column, view);
        columns.push(format!("{value} AS \"{}\"", column.name));
        if column.money {
            columns.push(format!(
                "{value} * money.rate AS \"{}_reporting\"",
                column.name
            ));
        }
    }
    if has_money {
        columns.push("money.currency AS currency".to_owned());
        columns.push("money.reporting AS reporting_currency".to_owned());
        columns.push("money.rate AS reporting_rate".to_owned());
        let taken: Vec<&str> = view.columns.iter().map(|c| c.name.as_str()).collect();
        columns.retain(|c| !(c == "money.currency AS currency" && taken.contains(&"currency")));
    }

    // Each look into a large stored body unpacks the whole of it: unpack it once per record, not once per column.
    let mut from = format!(
        "{} r CROSS JOIN LATERAL (SELECT r.body #> '{{}}' AS body OFFSET 0) b",
        view.of.sql()
    );
    for (level, path) in view.each.iter().enumerate() {
        let array = format!("{} #> {}", source(level), text_array(path));
        from.push_str(&format!(
            " CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof({array}) WHEN 'array' THEN {array} ELSE '[]' END) \
             WITH ORDINALITY AS e{}(value, line)",
            level + 1
        ));
    }
    if has_money {
        let currency = view
            .currency
            .as_ref()
            .map_or("i.currency".to_owned(), |path| {
                format!(
                    "coalesce(nullif(b.body #>> {}, ''), i.currency)",
                    text_array(path)
                )
            });
        let date = view
            .rate_date
            .as_ref()
            .map_or("r.upstream_at::date".to_owned(), |path| {
                format!("millpond.as_date(b.body #>> {})", text_array(path))
            });
        // No rate gives NULL, never one to one.
        from.push_str(&format!(
            " LEFT JOIN LATERAL (SELECT c.currency, i.reporting, \
                CASE WHEN c.currency = i.reporting THEN 1 ELSE \
                  (SELECT x.rate FROM millpond.rate x WHERE x.month = date_trunc('month', {date})::date \
                     AND x.currency = c.currency AND x.reporting = i.reporting) END AS rate \
              FROM millpond.instance i CROSS JOIN LATERAL (SELECT {currency} AS currency) c \
              WHERE i.name = r.instance) money ON true"
        ));
    }
    format!(
        "SELECT {} FROM {from} WHERE r.resource = {} AND r.deleted_at IS NULL",
        columns.join(", "),
        literal(view.of.as_str())
    )
}

fn source(level: usize) -> String {
    if level == 0 {
        "b.body".to_owned()
    } else {
        format!("e{level}.value")
    }
}

fn value(column: &ViewColumn, view: &ViewSpec) -> String {
    let has_index = view.each.is_empty() && view.indexed.contains(&column.path);
    let source = if has_index {
        "r.body".to_owned()
    } else {
        source(column.level)
    };
    let path = text_array(&column.path);
    match column.kind {
        ColumnKind::Jsonb => format!("{source} #> {path}"),
        ColumnKind::Text => format!("{source} #>> {path}"),
        ColumnKind::Numeric => format!("millpond.as_numeric({source} #>> {path})"),
        ColumnKind::Timestamptz => format!("millpond.as_timestamp({source} #>> {path})"),
        ColumnKind::Date => format!("millpond.as_date({source} #>> {path})"),
        ColumnKind::Boolean => format!("millpond.as_boolean({source} #>> {path})"),
        ColumnKind::Integer => format!("millpond.as_integer({source} #>> {path})"),
    }
}

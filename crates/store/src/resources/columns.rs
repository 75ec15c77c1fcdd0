//! What the flattening views are called and hold.

use serde::Serialize;

use crate::{
    Store,
    error::{For, Result},
};

/// A view that SQL can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewColumns {
    /// Its name, `cin7.sale_line`.
    pub name: String,
    /// Its columns, in their order.
    pub columns: Vec<NamedColumn>,
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedColumn {
    /// Its name.
    pub name: String,
    /// Its type, in PostgreSQL's words.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Store {
    /// The views in `schemas`, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn view_columns(&self, schemas: &[String]) -> Result<Vec<ViewColumns>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT n.nspname || '.' || c.relname, a.attname::text, format_type(a.atttypid, a.atttypmod)
             FROM pg_class c
               JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE n.nspname = ANY($1) AND c.relkind = 'v'
             ORDER BY 1, a.attnum",
        )
        .bind(schemas)
        .fetch_all(self.pool())
        .await
        .to("list views")?;
        let mut views: Vec<ViewColumns> = Vec::new();
        for (view, name, kind) in rows {
            let column = NamedColumn { name, kind };
            match views.last_mut() {
                Some(last) if last.name == view => last.columns.push(column),
                _ => views.push(ViewColumns {
                    name: view,
                    columns: vec![column],
                }),
            }
        }
        Ok(views)
    }
}

//! `millpond sql`: a query under the role that can only read, or how to connect.

use std::io::Read as _;

use clap::Args;
use store::reader::{QueryAnswer, QueryError, Reader, Truncated};

use super::{Context, Usage};
use crate::{
    database::Database,
    http::sql_limits,
    output::{Exit, Table},
};

/// The most bytes of a query on standard input.
const QUERY_BYTES_MAX: u64 = 1024 * 1024;

/// Run a query, or print how to connect
///
/// The query runs under a role that can only read, with the limits of [sql] in the configuration.
#[derive(Debug, Args)]
pub(super) struct Sql {
    /// One statement that reads; `-` takes it from standard input. Without it: how to connect
    query: Option<String>,
    /// The values of $1, $2, …
    params: Vec<String>,
    /// Open psql on the mirror, and keep the database running meanwhile
    #[arg(long, conflicts_with = "query")]
    psql: bool,
}

impl Sql {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (loaded, database) = context.open().await?;
        if self.psql {
            let ended = tokio::process::Command::new("sh")
                .args(["-c", &database.psql_command()])
                .status()
                .await?;
            database.close().await;
            return Ok(if ended.success() {
                Exit::Done
            } else {
                Exit::Failed
            });
        }
        let Some(query) = self.query else {
            let text = how_to_connect(&database).await?;
            let answer = serde_json::json!({ "psql": database.psql_command() });
            context.output.answer(&answer, || text)?;
            database.close().await;
            return Ok(Exit::Done);
        };
        let query = if query == "-" {
            let mut text = String::new();
            std::io::stdin()
                .take(QUERY_BYTES_MAX)
                .read_to_string(&mut text)?;
            text
        } else {
            query
        };
        let reader = Reader::open(database.store.pool(), 1).await?;
        let params: Vec<serde_json::Value> = self.params.into_iter().map(Into::into).collect();
        let asked = reader
            .query(&query, &params, &sql_limits(&loaded.config))
            .await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => return Err(explain(&query, error)),
        };
        context.output.answer(&answer, || show(&answer))?;
        database.close().await;
        Ok(Exit::Done)
    }
}

async fn how_to_connect(database: &Database) -> anyhow::Result<String> {
    let mut text = format!(
        "The mirror is a PostgreSQL database. While `millpond serve` or `millpond worker` runs:\n\n  {}\n\n\
         or, also without them:  millpond sql --psql\n",
        database.psql_command()
    );
    let mut names: Vec<String> = database
        .store
        .jobs()
        .await?
        .iter()
        .map(|job| job.resource.to_string())
        .collect();
    names.sort();
    names.dedup();
    if !names.is_empty() {
        text.push_str(&format!(
            "\nTables, one per resource, side by side for all instances:\n  {}\n",
            names.join("\n  ")
        ));
        text.push_str("\nTry:  SELECT instance, count(*) FROM cin7.sale GROUP BY 1;\n");
    }
    Ok(text)
}

fn explain(query: &str, error: QueryError) -> anyhow::Error {
    match &error {
        QueryError::Refused { position, hint, .. } => {
            let mut text = super::chain_of(&error);
            if let Some(position) = position {
                let before: String = query.chars().take(position.saturating_sub(1)).collect();
                let line = before.matches('\n').count() + 1;
                text.push_str(&format!(" (line {line}, character {position})"));
            }
            if let Some(hint) = hint {
                text.push_str(&format!("\nhint: {hint}"));
            }
            Usage(text).into()
        }
        QueryError::NotAllowed { .. } => Usage(error.to_string()).into(),
        _ => error.into(),
    }
}

fn show(answer: &QueryAnswer) -> String {
    let mut table = Table::with_header(answer.columns.iter().map(|c| c.name.clone()).collect());
    for row in &answer.rows {
        let cells: Vec<Box<serde_json::value::RawValue>> =
            serde_json::from_str(row.get()).unwrap_or_default();
        let plain = |cell: Box<serde_json::value::RawValue>| match cell.get() {
            "null" => String::new(),
            text if text.starts_with('"') => serde_json::from_str::<String>(text)
                .unwrap_or_default()
                .replace('\n', " "),
            text => text.to_owned(),
        };
        table.cells(cells.into_iter().map(plain).collect());
    }
    let cut = match answer.truncated {
        None => "",
        Some(Truncated::Rows) => ", cut at `sql.rows_max`",
        Some(Truncated::Bytes) => ", cut at `sql.bytes_max`",
        Some(Truncated::Cells) => ", some values cut at `sql.cell_chars_max`",
    };
    format!(
        "{table}{} rows in {:.1} ms{cut}",
        answer.rows.len(),
        answer.duration.as_secs_f64() * 1000.0
    )
}

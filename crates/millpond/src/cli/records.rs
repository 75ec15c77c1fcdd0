//! `millpond get` and `millpond search`: records out of the mirror.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use clap::Args;
use mirror::{Detail, PayloadAnswer, ReadAnswer, ReadAsk};
use serde::Serialize;
use store::{
    ResourceName, Store,
    read::{Criterion, Search as Question},
    snapshots::Which,
};

use super::Context;
use crate::{
    config::{Loaded, Period},
    feed::feed_of,
    instances::open_mirror,
    output::{Exit, Table, age, ago},
};

/// Former versions that are printed at the most.
const HISTORY_MAX: i64 = 1000;

/// One record
///
/// By default out of the mirror as it is, at no upstream call. With --max-age or --fresh, at most one call is spent
/// when the mirror's record is older.
/// With --include, what stands beside it comes too, each at calls of its own when it is older than its rules allow.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The resource, such as cin7.sale
    resource: ResourceName,
    /// The instance
    instance: String,
    /// The record's id
    id: String,
    /// Ask upstream first when the mirror's record is older than this, such as 5m
    #[arg(long, value_name = "AGE")]
    max_age: Option<Period>,
    /// Ask upstream in any case
    #[arg(long, conflicts_with = "max_age")]
    fresh: bool,
    /// Print its former versions too, newest first
    #[arg(long)]
    history: bool,
    /// What stands beside it too, such as notes,contacts; as fresh as the connector's rules want it, at their calls
    #[arg(long, value_name = "PAYLOAD", value_delimiter = ',')]
    include: Vec<String>,
    /// As it was at this snapshot: its number, or `newest`; `millpond snapshots` lists them
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["max_age", "fresh", "include"])]
    snapshot: Option<Which>,
}

impl Get {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (loaded, database) = context.open().await?;
        let store = &database.store;
        let Some(Detail { record, payloads }) = self.read(context, &loaded, store).await? else {
            eprintln!(
                "{} of {} has no record `{}`",
                self.resource, self.instance, self.id
            );
            return Ok(Exit::NotFound);
        };
        #[derive(Serialize)]
        struct Answer {
            #[serde(flatten)]
            record: ReadAnswer,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            payloads: BTreeMap<String, Option<PayloadAnswer>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            history: Option<Vec<store::read::RecordVersion>>,
        }
        let history = if self.history {
            let history = store
                .history(&self.resource, &self.instance, &self.id, HISTORY_MAX)
                .await?;
            Some(history)
        } else {
            None
        };
        let answer = Answer {
            record,
            payloads,
            history,
        };
        context.output.answer(&answer, || {
            let record = &answer.record.record;
            let now = jiff::Timestamp::now();
            if let Some(stale) = &answer.record.stale {
                eprintln!("older than asked for: {stale}");
            }
            let mut text = format!(
                "{} {} {}  version {}  as of {} ({} ago), from {}{}\n{}\n",
                record.resource,
                record.instance,
                record.id,
                record.version,
                record.as_of,
                ago(record.as_of, now),
                answer.record.source,
                record
                    .deleted_at
                    .map(|at| format!("  gone upstream since {at}"))
                    .unwrap_or_default(),
                pretty(record.body.get()),
            );
            for (name, payload) in &answer.payloads {
                let Some(payload) = payload else {
                    text.push_str(&format!("{name}: it has none\n"));
                    continue;
                };
                let found = &payload.answer;
                text.push_str(&format!(
                    "{name}  {}  as of {} ({} ago), from {}{}\n{}\n",
                    payload.key,
                    found.record.as_of,
                    ago(found.record.as_of, now),
                    found.source,
                    found
                        .stale
                        .as_ref()
                        .map(|why| format!("  older than asked for: {why}"))
                        .unwrap_or_default(),
                    pretty(found.record.body.get()),
                ));
            }
            for version in answer.history.iter().flatten() {
                text.push_str(&format!(
                    "version {} from {} to {}\n{}\n",
                    version.version,
                    version.changed_at,
                    version.ended_at,
                    pretty(version.body.get())
                ));
            }
            text
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

impl Get {
    async fn read(
        &self,
        context: &Context,
        loaded: &Loaded,
        store: &Store,
    ) -> anyhow::Result<Option<Detail>> {
        let alone = |record| Detail {
            record,
            payloads: BTreeMap::new(),
        };
        if let Some(which) = self.snapshot {
            let at = store.at_snapshot(which).await?;
            let (resource, instance) = (&self.resource, &self.instance);
            let found = store
                .find_record_at(resource, instance, &self.id, &at)
                .await?;
            store.still_kept(&at).await?;
            return Ok(found.map(|record| {
                alone(ReadAnswer {
                    snapshot: Some(at.number),
                    source: "mirror",
                    age_secs: age(record.as_of, at.taken_at).as_secs_f64(),
                    stale: None,
                    record: record.into(),
                })
            }));
        }
        if !self.include.is_empty() {
            let mirror = open_mirror(loaded, &context.environment, store.clone()).await?;
            let ask = ReadAsk {
                max_age: self.max_age.map(|age| age.0),
                fresh: self.fresh,
            };
            let (resource, instance) = (&self.resource, &self.instance);
            let detail = mirror.read_detail(resource, instance, &self.id, &self.include, ask);
            return Ok(detail.await?);
        }
        if self.fresh || self.max_age.is_some() {
            let mirror = open_mirror(loaded, &context.environment, store.clone()).await?;
            let ask = ReadAsk {
                max_age: self.max_age.map(|age| age.0),
                fresh: self.fresh,
            };
            return Ok(mirror
                .read(&self.resource, &self.instance, &self.id, ask)
                .await?
                .map(alone));
        }
        let feed = feed_of(&self.resource, &loaded.config, &loaded.base);
        let found = store
            .read_record(&self.resource, &self.instance, &self.id, &feed)
            .await?;
        Ok(found.map(|(record, snapshot)| {
            alone(ReadAnswer {
                snapshot: Some(snapshot),
                source: "mirror",
                age_secs: age(record.as_of, jiff::Timestamp::now()).as_secs_f64(),
                stale: None,
                record: record.into(),
            })
        }))
    }
}

/// Indents JSON without touching its numbers.
fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        if in_text {
            text.push(letter);
            in_text = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            continue;
        }
        match letter {
            ' ' | '\n' | '\t' | '\r' => {}
            '{' | '[' => {
                text.push(letter);
                while letters
                    .peek()
                    .is_some_and(|next| next.is_ascii_whitespace())
                {
                    letters.next();
                }
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(letter);
            }
            ',' => {
                text.push(letter);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            '"' => {
                in_text = true;
                text.push(letter);
            }
            _ => text.push(letter),
        }
    }
    text
}

/// Records by criteria, newest first
///
/// A criterion is a path, one of = != < <= > >= ~ and a value; [] after a key means any element of it. All must hold.
/// Examples:
///   millpond search cin7.sale Order.Lines[].SKU=85123A 'SaleOrderDate>=2026-01-01' Location='Main Warehouse'
///   millpond search cin7.customer Name~gifts --limit 5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Search {
    /// The resource, such as cin7.sale
    resource: ResourceName,
    /// Conditions, such as Order.Lines[].SKU=85123A
    criteria: Vec<Criterion>,
    /// JSON that a match must contain
    #[arg(long, value_name = "JSON")]
    contains: Option<String>,
    /// An SQL/JSON path that must find something: '$.Order.Lines[*] ? (@.Quantity > 100)'
    #[arg(long, value_name = "PATH")]
    json_path: Option<String>,
    /// Only these instances
    #[arg(long)]
    instance: Vec<String>,
    /// Also records that are gone upstream
    #[arg(long)]
    deleted: bool,
    /// Records on the page
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Go on after this place: `next` of the page before
    #[arg(long)]
    after: Option<String>,
    /// As they were at this snapshot: its number, or `newest`; `millpond snapshots` lists them
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Option<Which>,
}

impl Search {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let contains = self
            .contains
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| super::Usage(format!("--contains is no JSON: {error}")))?;
        let (loaded, database) = context.open().await?;
        let feed = feed_of(&self.resource, &loaded.config, &loaded.base);
        let store = &database.store;
        let at = match self.snapshot {
            Some(which) => Some(store.at_snapshot(which).await?),
            None => None,
        };
        let question = Question {
            at,
            instances: self.instance,
            criteria: self.criteria,
            contains,
            json_path: self.json_path,
            deleted: self.deleted,
            limit: self.limit,
            after: self.after,
            timeout: Duration::from_secs(60),
            ..Question::all(self.resource)
        };
        let began = std::time::Instant::now();
        let page = store
            .search(&question, &feed)
            .await
            .context("the search failed")?;
        if let Some(at) = &question.at {
            store.still_kept(at).await?;
        }
        let took = began.elapsed();
        context.output.answer(&page, || {
            let now = jiff::Timestamp::now();
            let mut table = Table::new(["instance", "id", "changed upstream", "as of"]);
            for record in &page.records {
                table.row([
                    record.instance.clone(),
                    record.id.clone(),
                    record
                        .upstream_at
                        .map(|at| at.to_string())
                        .unwrap_or_default(),
                    format!("{} ago", ago(record.as_of, now)),
                ]);
            }
            let count = page.records.len();
            let more = page
                .next
                .as_ref()
                .map(|next| format!(", more with --after {next}"));
            format!(
                "{table}{count} records{} in {:.1} ms, 0 upstream calls{}",
                question
                    .at
                    .as_ref()
                    .map(|at| format!(" at snapshot {}", at.number))
                    .unwrap_or_default(),
                took.as_secs_f64() * 1000.0,
                more.unwrap_or_default()
            )
        })?;
        database.close().await;
        Ok(Exit::Done)
    }
}

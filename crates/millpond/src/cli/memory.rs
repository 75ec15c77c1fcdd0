//! `millpond remember` and `millpond recall`: notes beside the records, and both found by what they say.

use clap::Args;
use memory::Weights;
use mirror::Mirror;
use serde_json::json;
use store::memory::{Link, Shelf};

use super::{Context, Usage};
use crate::{
    instances::open_hot_mirror,
    memory::{AddAsk, Hit, Memory, RecallAsk},
    output::{Exit, Table},
};

/// The most letters of a hit that are printed for people.
const SHOWN_CHARS: usize = 90;

/// Keep a note beside the records
///
/// It is kept in the mirror's database, never upstream, as the operators' own; tenants keep theirs over HTTP.
/// `millpond recall` finds it by words and by meaning.
#[derive(Debug, Args)]
pub(super) struct Remember {
    /// What it says
    text: String,
    /// A label; can be given often
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// hot, warm or cold
    #[arg(long, default_value = "hot", value_parser = ["hot", "warm", "cold"])]
    tier: String,
    /// The record that it is about
    #[arg(long, num_args = 3, value_names = ["RESOURCE", "INSTANCE", "ID"])]
    about: Vec<String>,
}

/// Find notes and records by what they say
///
/// Words and vectors together: codes in any notation, misspelt names and other words for the same. Notes are those of
/// `millpond remember`; records are those that `memory.index` names, kept up to date by `serve` and `worker`.
#[derive(Debug, Args)]
pub(super) struct Recall {
    /// What is looked for
    text: String,
    /// The most hits
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=100))]
    limit: i64,
    /// Only notes with this label; can be given often
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only by words
    #[arg(long, conflicts_with = "vectors")]
    words: bool,
    /// Only by vectors
    #[arg(long)]
    vectors: bool,
}

fn shelf() -> Shelf {
    Shelf {
        tenant: None,
        project: None,
    }
}

async fn open(context: &Context) -> anyhow::Result<(crate::database::Database, Mirror, Memory)> {
    let (loaded, database) = context.open().await?;
    let (mirror, own) =
        open_hot_mirror(&loaded, &context.environment, database.store.clone()).await?;
    let memory = own.memory(&mirror, &loaded.config);
    Ok((database, mirror, memory))
}

impl Remember {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        if self.text.trim().is_empty() {
            return Err(Usage("there is nothing to remember".to_owned()).into());
        }
        let about = match &self.about[..] {
            [resource, instance, id] => {
                resource
                    .parse::<store::ResourceName>()
                    .map_err(|error| Usage(error.to_string()))?;
                Some(Link {
                    resource: resource.clone(),
                    instance: instance.clone(),
                    id: id.clone(),
                })
            }
            _ => None,
        };
        let (database, _, memory) = open(context).await?;
        let ask = AddAsk {
            shelf: shelf(),
            user: String::new(),
            text: self.text,
            tags: self.tags,
            tier: self.tier,
            session: None,
            metadata: json!({}),
            about,
        };
        let added = memory.add(ask, None).await;
        database.close().await;
        let row = added?;
        context
            .output
            .answer(&row, || format!("remembered as {}", row.id))?;
        Ok(Exit::Done)
    }
}

impl Recall {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let (database, _, memory) = open(context).await?;
        let only = |yes: bool| if yes { 0.0 } else { Weights::default().words };
        let ask = RecallAsk {
            shelf: shelf(),
            user: String::new(),
            text: self.text,
            limit: self.limit,
            tier: None,
            tags: self.tags,
            metadata: None,
            session: None,
            notes: true,
            resources: None,
            instances: None,
            weights: Weights {
                words: only(self.vectors),
                vectors: only(self.words),
            },
        };
        let answer = memory.recall(&ask).await;
        database.close().await;
        let answer = answer?;
        if let Some(why) = &answer.without_vectors {
            eprintln!("by words alone: {why}");
        }
        context.output.answer(&answer, || {
            let mut table = Table::new(["score", "what", "which", "text"]);
            answer.hits.iter().for_each(|hit| table.row(row(hit)));
            table.to_string()
        })?;
        Ok(match answer.hits.is_empty() {
            true => Exit::NotFound,
            false => Exit::Done,
        })
    }
}

fn row(hit: &Hit) -> [String; 4] {
    let (what, which, text) = match (&hit.memory, &hit.record) {
        (Some(memory), _) => ("note".to_owned(), memory.id.clone(), &memory.text),
        (None, Some(record)) => {
            let which = format!("{} {}", record.instance, record.id);
            (record.resource.clone(), which, &record.text)
        }
        (None, None) => return Default::default(),
    };
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(SHOWN_CHARS) {
        line.truncate(at);
        line.push('…');
    }
    [format!("{:.3}", hit.score), what, which, line]
}

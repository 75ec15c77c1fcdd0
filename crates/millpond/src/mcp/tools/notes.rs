//! Notes: kept, and recalled with the records.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, answer};
use crate::door::Refusal;

/// Notes and records that answer a question best.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Recall {
    /// What is looked for, in any words; codes and names as you have them
    query: String,
    /// Notes of this end user too; without, only those of everybody
    user: Option<String>,
    /// Only notes with all of these labels; leaves records out
    #[serde(default)]
    tags: Vec<String>,
    /// Only records of these resources, none when empty; of all that can be recalled when absent
    records: Option<Vec<String>>,
    /// The most hits: 10 when absent, at most 50
    #[schemars(range(min = 1, max = 50))]
    limit: Option<i64>,
}

/// A note to be kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Remember {
    /// What it says, whole sentences
    text: String,
    /// The end user whose it is; everybody's when absent
    user: Option<String>,
    /// Labels
    #[serde(default)]
    tags: Vec<String>,
    /// The record that it is about: {"resource": "cin7.sale", "instance": "cin7-au", "id": "…"}
    about: Option<Value>,
}

impl At<'_> {
    pub(super) async fn recall(self, args: Recall) -> Result<Value, Refusal> {
        let mut question = json!({
            "query": args.query,
            "user": args.user,
            "tags": args.tags,
            "limit": args.limit.unwrap_or(10).clamp(1, 50),
        });
        if let Some(records) = args.records {
            question["records"] = json!(records);
        }
        let mut found = self.post("/v1/memory/query", &question).await?;
        let gone = answer::trim_rows(&mut found, "hits");
        if gone > 0 {
            found["left_out"] = json!(format!("{gone} hits that would not fit; ask for fewer"));
        }
        Ok(found)
    }

    pub(super) async fn remember(self, args: Remember) -> Result<Value, Refusal> {
        let note =
            json!({ "text": args.text, "user": args.user, "tags": args.tags, "about": args.about });
        self.post("/v1/memory/add", &note).await
    }
}

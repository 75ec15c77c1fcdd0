//! A question as it is kept: everything that decides its answer, in one order, hashed.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::rank::Weights;

/// Everything that decides an answer, besides tenant and user, which name its key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Question {
    /// What is looked for. Space around it does not count.
    pub text: String,
    /// Only notes of this project.
    pub project: Option<String>,
    /// The most hits.
    pub limit: i64,
    /// Only notes of this tier.
    pub tier: Option<String>,
    /// Only notes with all of these, in any order.
    pub tags: Vec<String>,
    /// Only notes whose metadata contain this.
    pub metadata: Option<Value>,
    /// Whether notes are looked at.
    pub notes: bool,
    /// Only records of these, in any order; empty: none.
    pub resources: Vec<String>,
    /// The instances whose records the caller sees, in any order; `None`: all.
    pub instances: Option<Vec<String>>,
    /// How words and vectors count.
    pub weights: Weights,
    /// Who makes the vectors.
    pub embedder: String,
    /// The state of what is looked at: grows with every write to it.
    pub generation: String,
}

impl Question {
    /// A hash that equal questions share, and others do not.
    pub fn hash(&self) -> String {
        let mut question = self.clone();
        question.text = self.text.trim().to_owned();
        sort(&mut question.tags);
        sort(&mut question.resources);
        question.instances.iter_mut().for_each(sort);
        let value = serde_json::to_value(&question).unwrap_or_default();
        hex::encode(Sha256::digest(canonical(value).to_string()))
    }
}

/// The name of exactly this text: one byte more or less is another.
pub fn text_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn sort(texts: &mut Vec<String>) {
    texts.sort();
    texts.dedup();
}

/// With the keys of all objects in order, whatever order a parser kept.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<(String, Value)> = entries.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key, canonical(value)));
            Value::Object(entries.collect::<Map<String, Value>>())
        }
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests;

//! `[memory]`: what can be recalled, and who makes vectors.

use std::collections::BTreeMap;

use memory::Field;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use store::ResourceName;

use super::{Period, SecretRef};

/// `[memory]`: what can be recalled, and who makes vectors. Without `url` the built-in embedder does, which knows how
/// texts are written and not what they mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// An embedder that speaks the OpenAI protocol, with its whole path: `https://…/v1/embeddings`.
    pub url: Option<String>,
    /// The name of the model there. Needed with `url`.
    pub model: Option<String>,
    /// How many numbers its vectors have. Needed with `url`.
    pub dimensions: Option<usize>,
    /// Whether the embedder is asked for so many, which not every model can be.
    pub ask_dimensions: bool,
    /// Change it when the model behind the same name has changed: all vectors are then made anew.
    pub version: String,
    /// Where the embedder's key is found: `env:NAME` or `file:PATH`.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<SecretRef>,
    /// The most texts of one request to the embedder.
    pub batch_max: usize,
    /// The most time of one attempt; there are three.
    #[schemars(with = "String")]
    pub timeout: Period,
    /// Whether the embedder may be inside this machine or its network, and plain `http`.
    pub private_hosts: bool,
    /// Resources whose records can be recalled, each with the fields that make their texts: of cin7.product perhaps SKU
    /// and Name. `Lines[].Name` means every element's. docs/memory.md has an example.
    pub index: BTreeMap<String, Vec<String>>,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            dimensions: None,
            ask_dimensions: false,
            version: "1".to_owned(),
            api_key: None,
            batch_max: 128,
            timeout: Period::secs(20),
            private_hosts: false,
            index: BTreeMap::new(),
        }
    }
}

impl MemoryConfig {
    /// The resources whose records can be recalled, and the fields of their texts. What is none was refused when the
    /// configuration was read.
    pub fn indexed(&self) -> Vec<(ResourceName, Vec<Field>)> {
        let indexed = self.index.iter().filter_map(|(resource, fields)| {
            let fields = fields.iter().filter_map(|field| field.parse().ok());
            Some((resource.parse().ok()?, fields.collect()))
        });
        indexed.collect()
    }
}

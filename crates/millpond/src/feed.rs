//! Which resource's watermark says how fresh a record is.

use std::path::Path;

use store::ResourceName;

use crate::{
    config::Config,
    connectors::{BUILT_IN, load_connector},
};

/// The resource whose feed covers `resource`: its parent where it has one, else itself.
///
/// For commands that read the database only; connectors are those of configuration and those built in.
pub(crate) fn feed_of(resource: &ResourceName, config: &Config, base: &Path) -> ResourceName {
    let configured = config.instances.iter().map(|i| i.connector.as_str());
    let built_in = BUILT_IN.iter().map(|(name, ..)| *name);
    configured
        .chain(built_in)
        .filter_map(|name| load_connector(name, base).ok())
        .find(|connector| connector.name == resource.schema())
        .and_then(|connector| {
            let parent = connector.resource(resource.table())?.of.clone()?;
            ResourceName::new(&connector.name, &parent).ok()
        })
        .unwrap_or_else(|| resource.clone())
}

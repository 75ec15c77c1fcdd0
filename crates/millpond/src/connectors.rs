//! Finding the connector that an instance names: built in, or a file.

use std::{path::Path, sync::Arc};

use upstream::{Connector, Diagnostics, connector::Problem};

/// The connectors that come with Millpond: name, file name, text.
pub const BUILT_IN: [(&str, &str, &str); 2] = [
    (
        "cin7",
        "connectors/cin7-core.toml",
        include_str!("../../../connectors/cin7-core.toml"),
    ),
    (
        "connectwise",
        "connectors/connectwise.toml",
        include_str!("../../../connectors/connectwise.toml"),
    ),
];

/// The connector that configuration calls `name`; paths that are relative start at `base`.
///
/// # Errors
///
/// What is wrong with the file, each with line and key; or that there is no such connector.
pub fn load_connector(name: &str, base: &Path) -> Result<Arc<Connector>, Diagnostics> {
    if let Some((_, file, text)) = BUILT_IN.iter().find(|(known, ..)| *known == name) {
        return Connector::parse(file, text).map(Arc::new);
    }
    let known: Vec<&str> = BUILT_IN.iter().map(|(name, ..)| *name).collect();
    if Path::new(name).extension().is_none_or(|end| end != "toml") {
        return Err(alone(
            name,
            format!(
                "is no connector: built in is {}; anything else is the path of a file that ends in .toml",
                known.join(", ")
            ),
        ));
    }
    let path = base.join(name);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| alone(name, format!("cannot be read: {error}")))?;
    Connector::parse(&path.display().to_string(), &text).map(Arc::new)
}

fn alone(file: &str, message: String) -> Diagnostics {
    Diagnostics {
        file: file.to_owned(),
        problems: vec![Problem {
            line: 1,
            key: String::new(),
            message,
        }],
    }
}

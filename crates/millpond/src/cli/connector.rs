//! `millpond connector`: judging connector files.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use upstream::Connector;

use super::Context;
use crate::output::Exit;

/// Connector files: what one kind of API looks like
#[derive(Debug, Subcommand)]
pub(super) enum ConnectorCommand {
    /// Say what is wrong with a connector file, or what it describes
    ///
    /// Every problem is printed with file, line and key, and what is allowed there. Ends with 3 when there are any.
    Check {
        /// The file
        file: PathBuf,
    },
}

impl ConnectorCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let Self::Check { file } = self;
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
        let connector = match Connector::parse(&name, &text) {
            Ok(connector) => connector,
            Err(wrong) => {
                let problems: Vec<_> = wrong
                    .problems
                    .iter()
                    .map(|p| json!({ "file": wrong.file, "line": p.line, "key": p.key, "message": p.message }))
                    .collect();
                context
                    .output
                    .answer(&json!({ "ok": false, "problems": problems }), || {
                        wrong.to_string()
                    })?;
                return Ok(Exit::Differences);
            }
        };
        mirror::check_rules(&connector).with_context(|| format!("{name} is wrong"))?;
        let resources: Vec<&str> = connector
            .resources
            .iter()
            .map(|r| r.name.as_str())
            .collect();
        let views: Vec<&str> = connector.views.iter().map(|v| v.name.as_str()).collect();
        let payloads: Vec<&str> = connector.payloads.iter().map(|p| p.name.as_str()).collect();
        let answer = json!({
            "ok": true, "connector": connector.name, "secrets": connector.secret_names(),
            "resources": resources, "payloads": payloads, "views": views,
        });
        context.output.answer(&answer, || {
            format!(
                "{name} is good: connector `{}`\nsecrets    {}\nresources  {}\npayloads   {}\nviews      {}",
                connector.name,
                connector.secret_names().join(", "),
                resources.join(", "),
                payloads.join(", "),
                views.join(", "),
            )
        })?;
        Ok(Exit::Done)
    }
}

//! `millpond mcp`: the Model Context Protocol on standard input and output.

use clap::Args;

use super::{Context, Usage, config::missing_secrets};
use crate::{
    access::Caller,
    http::{self, App, guard::ApiKeys},
    instances::open_hot_mirror,
    logging, mcp,
    output::Exit,
    secrets::Secrets,
    signals::stop_on_signals,
};

/// The variable that holds the key to act with.
const KEY: &str = "MILLPOND_KEY";

/// Let an agent ask the mirror, over the Model Context Protocol on standard input and output
///
/// Agents start this themselves; give them the command `millpond mcp --config FILE`. They find tools to learn what is
/// mirrored, to search, to read a record, to ask SQL and to follow changes. No tool calls upstream unless the agent says
/// how many calls it may spend. With MILLPOND_KEY set, the agent may do what that key may, else what you may.
/// Agents elsewhere reach the same tools at http://HOST:7171/mcp of `millpond serve`, with a key.
#[derive(Debug, Args)]
pub(super) struct Mcp {}

impl Mcp {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let loaded = context.load()?;
        logging::start(&loaded.config.logs);
        let secrets = Secrets::new(context.environment.clone(), &loaded.base);
        for missing in missing_secrets(&loaded.config, &secrets) {
            // The mirror answers all the same.
            tracing::warn!("{missing}");
        }
        let stop = stop_on_signals()?;
        let (loaded, database) = context.open().await?;
        let served = async {
            let (mirror, own) =
                open_hot_mirror(&loaded, &context.environment, database.store.clone()).await?;
            let keys = ApiKeys::default();
            let app = App::open(mirror, own, &loaded, keys, stop.clone()).await?;
            let caller = match context.environment.find(KEY) {
                None => Caller::operator(),
                Some(key) => app.caller_with(key).await?.ok_or_else(|| {
                    Usage(format!(
                        "the key in {KEY} is none of this Millpond's, or is revoked"
                    ))
                })?,
            };
            mcp::serve_stdio(http::api(app), caller, &stop).await
        }
        .await;
        stop.cancel();
        database.close().await;
        served?;
        Ok(Exit::Done)
    }
}

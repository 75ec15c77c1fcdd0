//! `millpond simulate`: an upstream to try things on.

mod cin7_core;
mod connectwise;

use clap::Subcommand;

use super::Context;
use crate::output::Exit;

/// Simulated upstreams, for trying and testing; any client may call them
#[derive(Debug, Subcommand)]
pub(super) enum Simulate {
    /// Cin7 Core: two companies (GBP and EUR) built from real orders
    #[command(name = "cin7-core")]
    Cin7Core(cin7_core::Cin7Core),
    #[command(name = "connectwise")]
    ConnectWise(connectwise::ConnectWise),
}

impl Simulate {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        crate::logging::start(&crate::config::LogsConfig::default());
        match self {
            Self::Cin7Core(args) => args.run(context).await,
            Self::ConnectWise(args) => args.run(context).await,
        }
    }
}

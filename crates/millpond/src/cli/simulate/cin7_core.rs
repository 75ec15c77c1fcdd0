//! `millpond simulate cin7-core`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use simulators::cin7::{self, SimulateArgs};

use crate::{cli::Context, output::Exit, signals::stop_on_signals};

/// How the simulator behaves.
#[derive(Debug, Args)]
pub(in crate::cli) struct Cin7Core {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Seed of every rule that would otherwise need chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The newest this many invoices per company; default: all 20,725
    #[arg(long)]
    sales: Option<usize>,
    /// Copies of each order
    #[arg(long, default_value_t = 1)]
    scale: usize,
    /// Calls per 60 s and key; 0 lifts the limit
    #[arg(long, default_value_t = 60)]
    calls_per_minute: u32,
    /// Answer as slowly as the real service, about 230 ms
    #[arg(long)]
    slow: bool,
    /// Business events per minute and company: new orders, edits, voids, stock moves
    #[arg(long, default_value_t = 0)]
    events_per_minute: u32,
}

impl Cin7Core {
    pub(in crate::cli) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let stop = stop_on_signals()?;
        let args = SimulateArgs {
            port: self.port,
            seed: self.seed,
            sales_max: self.sales.unwrap_or(usize::MAX),
            scale: self.scale,
            calls_per_minute: self.calls_per_minute,
            slow: self.slow,
            events_per_minute: self.events_per_minute,
        };
        let output = context.output;
        let ready = move |sim: &cin7::Cin7| {
            let accounts: Vec<_> = sim
                .options()
                .accounts
                .iter()
                .map(|account| {
                    json!({ "name": account.name, "currency": account.currency,
                            "api-auth-accountid": account.account_id, "api-auth-applicationkey": account.keys })
                })
                .collect();
            let answer = json!({ "base_url": sim.base_url(), "accounts": accounts });
            let told = output.answer(&answer, || {
                let mut text = format!("Cin7 Core is simulated at {}\n", sim.base_url());
                for account in &sim.options().accounts {
                    text.push_str(&format!(
                        "{} ({})\n  api-auth-accountid: {}\n",
                        account.name, account.currency, account.account_id
                    ));
                    for key in &account.keys {
                        text.push_str(&format!("  api-auth-applicationkey: {key}\n"));
                    }
                }
                text
            });
            if let Err(error) = told {
                tracing::warn!(%error, "nobody reads where the simulator is");
            }
        };
        cin7::run(args, ready, stop.cancelled_owned())
            .await
            .context("the simulator does not start")?;
        Ok(Exit::Done)
    }
}

//! Running the simulator by itself, from a command line.

use super::options::{Account, Options};
use super::{Cin7, Result};
use crate::latency::Latency;
use crate::limiter::Limit;
use std::net::{Ipv4Addr, SocketAddr};

/// What a command line may say about a simulator that runs alone.
#[derive(Clone, Debug)]
pub struct SimulateArgs {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Seed of all rules.
    pub seed: u64,
    /// Newest invoices per account.
    pub sales_max: usize,
    /// Copies of each.
    pub scale: usize,
    /// Calls per 60 s and key; 0 lifts the limit.
    pub calls_per_minute: u32,
    /// Answer as slowly as the real service does.
    pub slow: bool,
    /// Scripted events per minute in every account; 0 leaves the accounts still.
    pub events_per_minute: u32,
}

impl Default for SimulateArgs {
    fn default() -> Self {
        SimulateArgs {
            port: 8090,
            seed: 1,
            sales_max: usize::MAX,
            scale: 1,
            calls_per_minute: 60,
            slow: false,
            events_per_minute: 0,
        }
    }
}

impl SimulateArgs {
    /// The options they stand for.
    pub fn options(&self) -> Options {
        let size = |account: Account| Account {
            sales_max: self.sales_max,
            scale: self.scale,
            ..account
        };
        Options {
            seed: self.seed,
            accounts: vec![size(Account::gbp()), size(Account::eur())],
            limit: (self.calls_per_minute > 0).then(|| Limit {
                calls: self.calls_per_minute,
                ..Limit::default()
            }),
            latency: if self.slow {
                Latency::observed()
            } else {
                Latency::None
            },
            ..Options::default()
        }
    }
}

/// Serves until `stop` completes; `ready` is told the handle once calls are accepted.
///
/// Dropping the future stops the simulator without waiting for running answers.
///
/// # Errors
///
/// As [`Cin7::start`].
pub async fn run(
    args: SimulateArgs,
    ready: impl FnOnce(&Cin7),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let sim = Cin7::start(
        args.options(),
        SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)),
    )
    .await?;
    ready(&sim);
    crate::alone::play(args.events_per_minute, stop, || {
        for account in &sim.options().accounts {
            sim.tick(&account.account_id, 1);
        }
    })
    .await;
    sim.stop().await;
    Ok(())
}

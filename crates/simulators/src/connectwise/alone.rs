//! Running the simulator by itself, from a command line.

use super::options::{Options, Size};
use super::{ConnectWise, Result};
use crate::latency::Latency;
use crate::limiter::Limit;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What a command line may say about a simulator that runs alone.
#[derive(Clone, Debug)]
pub struct SimulateArgs {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Seed of all rules.
    pub seed: u64,
    /// Opportunities at the start.
    pub opportunities: usize,
    /// Calls per rolling 60 s and key; 0 lifts the limit.
    pub calls_per_minute: u32,
    /// Answer as slowly as the real service does.
    pub slow: bool,
    /// Scripted events per minute; 0 leaves the company still.
    pub events_per_minute: u32,
    /// Serve https with a certificate made at the start.
    pub tls: bool,
}

impl Default for SimulateArgs {
    fn default() -> Self {
        SimulateArgs {
            port: 8091,
            seed: 1,
            opportunities: Size::default().opportunities,
            calls_per_minute: 1_000,
            slow: false,
            events_per_minute: 0,
            tls: false,
        }
    }
}

impl SimulateArgs {
    /// The options they stand for. Companies, items and tickets grow with the opportunities.
    pub fn options(&self) -> Options {
        let (plain, n) = (Size::default(), self.opportunities);
        let scale = |of: usize| of.max(of * n / plain.opportunities);
        Options {
            seed: self.seed,
            size: Size {
                opportunities: n,
                companies: scale(plain.companies),
                catalog_items: scale(plain.catalog_items),
                adjustments: scale(plain.adjustments),
                tickets: scale(plain.tickets),
            },
            limit: (self.calls_per_minute > 0).then_some(Limit {
                calls: self.calls_per_minute,
                per: Duration::from_secs(60),
                sliding: true,
            }),
            latency: if self.slow {
                Latency::observed()
            } else {
                Latency::None
            },
            tls: self.tls,
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
/// As [`ConnectWise::start`].
pub async fn run(
    args: SimulateArgs,
    ready: impl FnOnce(&ConnectWise),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let sim = ConnectWise::start(args.options(), addr).await?;
    ready(&sim);
    crate::alone::play(args.events_per_minute, stop, || sim.tick(1)).await;
    sim.stop().await;
    Ok(())
}

//! `millpond simulate connectwise`.

use std::{io, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use simulators::connectwise::{self, SimulateArgs};

use crate::{
    cli::Context,
    output::{Exit, Output},
    signals::stop_on_signals,
};

const EXAMPLES: &str = "\
Examples:
  millpond simulate connectwise --events-per-minute 60
  curl -u pond+PUBLIC:PRIVATE -H clientId:try 'http://127.0.0.1:8091/v4_6_release/apis/3.0/sales/opportunities?pageSize=3'
  curl -u … -H clientId:try -G http://…/sales/opportunities --data-urlencode 'conditions=status/name=\"Open\" and lastUpdated > [2026-01-01]'
  curl http://127.0.0.1:8091/_sim/accounts              what it holds
  curl -X POST 'http://127.0.0.1:8091/_sim/tick?n=100'  business goes on
  curl -X POST http://127.0.0.1:8091/_sim/faults -d '{\"throttle_every\":10}'
  millpond simulate connectwise --tls --certificate cert.pem   then trust cert.pem in the client";

/// ConnectWise PSA: a company with deals, tickets, catalog and stock
///
/// Serves the documented paths below /v4_6_release/apis/3.0 with conditions, paging in both forms, writes, callbacks and
/// throttling. Prints the base URL and the keys that open it. Doors of its own stand under /_sim.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct ConnectWise {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8091)]
    port: u16,
    /// Seed of every rule that would otherwise need chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Opportunities at the start; companies, items and tickets grow with them
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    opportunities: u32,
    /// Calls per rolling 60 s and key; 0 lifts the limit
    #[arg(long, default_value_t = 1_000)]
    calls_per_minute: u32,
    /// Answer as slowly as the real service, about 230 ms
    #[arg(long)]
    slow: bool,
    /// Business events per minute: deals, notes, won and lost, stock, tickets
    #[arg(long, default_value_t = 0)]
    events_per_minute: u32,
    /// Serve https with a certificate made at the start
    #[arg(long)]
    tls: bool,
    /// Write that certificate here, in PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    certificate: Option<PathBuf>,
}

impl ConnectWise {
    pub(in crate::cli) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let stop = stop_on_signals()?;
        let args = SimulateArgs {
            port: self.port,
            seed: self.seed,
            opportunities: self.opportunities as usize,
            calls_per_minute: self.calls_per_minute,
            slow: self.slow,
            events_per_minute: self.events_per_minute,
            tls: self.tls,
        };
        let (output, end) = (context.output, stop.clone());
        let mut unwritten = None;
        let ready = |sim: &connectwise::ConnectWise| {
            unwritten = self.write_certificate(sim).err();
            if unwritten.is_some() {
                end.cancel();
            } else if let Err(error) = self.tell(sim, output) {
                tracing::warn!(%error, "nobody reads where the simulator is");
            }
        };
        connectwise::run(args, ready, stop.cancelled_owned())
            .await
            .context("the simulator does not start")?;
        match unwritten {
            Some(error) => Err(error),
            None => Ok(Exit::Done),
        }
    }

    fn write_certificate(&self, sim: &connectwise::ConnectWise) -> anyhow::Result<()> {
        if let (Some(file), Some(pem)) = (&self.certificate, sim.certificate_pem()) {
            std::fs::write(file, pem)
                .with_context(|| format!("cannot write the certificate to {}", file.display()))?;
        }
        Ok(())
    }

    /// Says where the simulator is and what opens it.
    fn tell(&self, sim: &connectwise::ConnectWise, output: Output) -> io::Result<()> {
        let pem = sim.certificate_pem();
        let company = &sim.options().company;
        let keys: Vec<_> = company
        .keys
        .iter()
        .map(|key| json!({"public_key": key.public, "private_key": key.private, "member": key.member}))
        .collect();
        let answer = json!({"base_url": sim.base_url(), "company": company.id, "keys": keys, "client_id": "any", "certificate": pem});
        output.answer(&answer, || {
            let mut text = format!("ConnectWise PSA is simulated at {}\n", sim.base_url());
            for key in &company.keys {
                text.push_str(&format!(
                    "member {}\n  user:     {}+{}\n  password: {}\n",
                    key.member, company.id, key.public, key.private
                ));
            }
            text.push_str("clientId: any that is not empty\n");
            match (&self.certificate, pem) {
                (Some(file), _) => text.push_str(&format!("certificate: {}\n", file.display())),
                (None, Some(pem)) => text.push_str(pem),
                (None, None) => {}
            }
            text
        })
    }
}

//! Serves the ConnectWise PSA simulator by itself: `cargo run --release -p simulators --example connectwise -- PORT DEALS CALLS`.
//! A missing number takes its default: port 8091, 400 deals, 1,000 calls a minute (0 lifts the limit). A fourth argument is
//! the file for the certificate, and https is served.

use simulators::connectwise::{SimulateArgs, run};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).map(|word| word.parse::<u32>()).transpose();
    let plain = SimulateArgs::default();
    let args = SimulateArgs {
        port: number(0)?.map_or(Ok(plain.port), u16::try_from)?,
        opportunities: number(1)?.map_or(plain.opportunities, |n| n as usize),
        calls_per_minute: number(2)?.unwrap_or(plain.calls_per_minute),
        tls: words.len() > 3,
        ..plain
    };
    let ready = |sim: &simulators::connectwise::ConnectWise| {
        if let (Some(file), Some(pem)) = (words.get(3), sim.certificate_pem()) {
            std::fs::write(file, pem).expect("the certificate is written");
        }
        println!("{}", sim.base_url());
        let company = &sim.options().company;
        for key in &company.keys {
            println!("{}+{} {}", company.id, key.public, key.private);
        }
    };
    run(args, ready, async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}

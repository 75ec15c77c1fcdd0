//! Serves the Cin7 Core simulator by itself: `cargo run --release -p simulators --example cin7_core -- PORT SALES SCALE CALLS`.
//! A missing number takes its default: port 8090, all sales, scale 1, 60 calls a minute (0 lifts the limit).

use simulators::cin7::{SimulateArgs, run};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map(|arg| arg.parse())
        .collect::<Result<_, _>>()?;
    let mut args = SimulateArgs::default();
    if let Some(port) = numbers.first() {
        args.port = u16::try_from(*port)?;
    }
    args.sales_max = numbers.get(1).map_or(args.sales_max, |n| *n as usize);
    args.scale = numbers.get(2).map_or(args.scale, |n| *n as usize);
    args.calls_per_minute = numbers.get(3).map_or(args.calls_per_minute, |n| *n as u32);
    let began = std::time::Instant::now();
    let ready = |sim: &simulators::cin7::Cin7| {
        println!(
            "{} after {} ms",
            sim.base_url(),
            began.elapsed().as_millis()
        );
        for account in &sim.options().accounts {
            println!(
                "account {} key {} ({})",
                account.account_id, account.keys[0], account.name
            );
        }
    };
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    run(args, ready, stop).await?;
    Ok(())
}

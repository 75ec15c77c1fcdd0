//! Asking a large mirror.

use anyhow::Result;

/// How large.
#[derive(clap::Args)]
pub struct Options {
    /// Sales.
    #[arg(long, default_value_t = 250_000)]
    pub sales: usize,
}

/// The whole benchmark.
pub async fn run(_: Options) -> Result<()> {
    Ok(())
}

//! `millpond rates`: what currencies are worth in the one that is reported in.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use store::rates::Rate;

use super::{Context, Usage};
use crate::{
    output::{Exit, Table},
    rates::read_csv,
};

/// The most rates that are listed.
const LIST_MAX: i64 = 10_000;
/// The most bytes of a file of rates.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Rates of currencies, averages of a month: money columns of views get a second one, in the reporting currency
///
/// A month without a rate is reported as null, never as one to one.
#[derive(Debug, Subcommand)]
pub(super) enum Rates {
    /// The rates that are known, the latest month first
    List,
    /// Read rates from a CSV file: `month,currency,reporting,rate`, such as `2026-01,EUR,GBP,0.8537`
    ///
    /// One unit of `currency` is worth `rate` units of `reporting`. A rate that is there already is replaced; a file
    /// with any wrong line changes nothing.
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
    },
}

impl Rates {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        let read = match &self {
            Self::List => None,
            Self::Import { file } => Some(read(file)?),
        };
        let (_, database) = context.open().await?;
        if let Some(rates) = &read {
            database.store.save_rates(rates).await?;
        }
        match read {
            Some(rates) => context.output.answer(&rates, || {
                format!(
                    "{} rates are saved, and hold from the next query on",
                    rates.len()
                )
            })?,
            None => {
                let rates = database.store.rates(LIST_MAX).await?;
                context.output.answer(&rates, || show(&rates))?;
            }
        }
        database.close().await;
        Ok(Exit::Done)
    }
}

fn read(file: &PathBuf) -> anyhow::Result<Vec<Rate>> {
    let mut text = Vec::new();
    let bytes = if file.as_os_str() == "-" {
        std::io::stdin()
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut text)
    } else {
        let opened =
            std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)
    };
    let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
    if bytes as u64 > FILE_BYTES_MAX {
        return Err(Usage(format!("{} is larger than 64 MB", file.display())).into());
    }
    read_csv(&text).map_err(|why| Usage(format!("{}: {why}", file.display())).into())
}

fn show(rates: &[Rate]) -> String {
    let mut table = Table::new(["month", "currency", "reporting", "rate"]);
    for rate in rates {
        table.row([
            rate.month.strftime("%Y-%m").to_string(),
            rate.currency.clone(),
            rate.reporting.clone(),
            rate.rate.clone(),
        ]);
    }
    table.to_string()
}

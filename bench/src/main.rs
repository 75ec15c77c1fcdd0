//! Benchmarks. Each ends with lines `result NAME VALUE UNIT`.

mod bulk;
mod changes_bench;
mod company;
mod console_bench;
mod http_bench;
mod made;
mod measure;
mod mirror_bench;
mod query_bench;
mod recall_bench;
mod served;
mod sweep_bench;

use clap::{Parser, Subcommand};

/// Benchmarks of the mirror; each prints what it compares with and ends with lines `result NAME VALUE UNIT`.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Mirror records of about 1 KB, beside `psql \copy` into an identical table and a plain fetch of all pages.
    Mirror(mirror_bench::Options),
    /// Change a few of many sales of a simulated Cin7 Core, and count the calls that bring them in.
    Changes(changes_bench::Options),
    /// Ask a large mirror: the question that the API cannot answer, point reads, searches.
    Query(query_bench::Options),
    /// Recall products by codes, names and in other words, by words, by vectors and by both.
    Recall(recall_bench::Options),
    /// Read cached records and searches over HTTP, beside nginx and Varnish that keep the same answers.
    Http(http_bench::Options),
    /// Open pages of the console over a million records, and a record of 5 MB.
    Console(console_bench::Options),
    /// Sweep the hot values of a simulated ConnectWise that all ran out, at its own pace.
    Sweep(sweep_bench::Options),
    /// Serve generated records (used by `mirror`, in a process of its own).
    #[command(hide = true)]
    Serve(bulk::Options),
    /// Run one sync (used by `mirror`, in a process of its own).
    #[command(hide = true)]
    Sync(mirror_bench::SyncOptions),
    /// Fetch all pages and forget them (used by `mirror`, in a process of its own).
    #[command(hide = true)]
    Fetch(mirror_bench::FetchOptions),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.bench {
            Bench::Mirror(options) => mirror_bench::run(options).await,
            Bench::Changes(options) => changes_bench::run(options).await,
            Bench::Http(options) => http_bench::run(options).await,
            Bench::Console(options) => console_bench::run(options).await,
            Bench::Sweep(options) => sweep_bench::run(options).await,
            Bench::Recall(options) => recall_bench::run(options).await,
            Bench::Query(options) => query_bench::run(options).await,
            Bench::Serve(options) => bulk::serve(options).await,
            Bench::Sync(options) => mirror_bench::sync(options).await,
            Bench::Fetch(options) => mirror_bench::fetch(options).await,
        }
    })
}

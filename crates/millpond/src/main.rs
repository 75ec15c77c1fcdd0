//! The `millpond` program.

use std::process::ExitCode;

use millpond::{cli, environment::Environment};

/// A request is some dozens of short-lived allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), Environment::of_process())
}

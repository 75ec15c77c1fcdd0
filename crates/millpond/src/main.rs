//! The `millpond` program.

use std::process::ExitCode;

use millpond::{cli, environment::Environment};

fn main() -> ExitCode {
    cli::main(std::env::args_os(), Environment::of_process())
}

//! `millpond orders`: pure order decisions over files.

use std::{io::Read as _, path::Path, path::PathBuf};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use orders::{
    Op,
    json::{JsonError, check_text, plan_text},
};

use super::{Context, Usage};
use crate::output::Exit;

/// The most bytes of an input or a plan.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Order decisions: who gets which units, from where, and why not. No upstream, no database
#[derive(Debug, Subcommand)]
pub(super) enum Orders {
    /// Plan the input in a file; the same input gives the same plan, byte for byte
    Plan {
        /// What to decide
        #[arg(value_enum)]
        block: Block,
        /// The input, JSON in the form fulfil-input/1; - is standard input
        file: PathBuf,
    },
    /// Judge a plan against its input, without trusting whoever made it
    ///
    /// Prints broken invariants and the plan's exact value. Ends with 3 when an invariant is broken.
    Check {
        /// The input, JSON in the form fulfil-input/1
        input: PathBuf,
        /// The plan, JSON in the form fulfil-plan/1
        plan: PathBuf,
    },
}

/// What to decide.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Block {
    /// Which location ships what, today
    Split,
    /// Who may count on which units, and from when
    Allocate,
    /// Which units leave the shelf, and what is assembled first
    Pick,
    /// Allocate after stock arrived, then pick
    Fill,
}

impl Orders {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Plan { block, file } => {
                let op = match block {
                    Block::Split => Op::Split,
                    Block::Allocate => Op::Allocate,
                    Block::Pick => Op::Pick,
                    Block::Fill => Op::Fill,
                };
                let plan = plan_text(op, &read(&file)?).map_err(|error| wrong(&file, error))?;
                context.output.line(&plan)?;
                Ok(Exit::Done)
            }
            Self::Check { input, plan } => {
                let (verdict, text) =
                    check_text(&read(&input)?, &read(&plan)?).map_err(|error| {
                        let file = if matches!(error, JsonError::Plan(_)) {
                            &plan
                        } else {
                            &input
                        };
                        wrong(file, error)
                    })?;
                context.output.line(&text)?;
                Ok(if verdict.violations.is_empty() {
                    Exit::Done
                } else {
                    Exit::Differences
                })
            }
        }
    }
}

fn wrong(file: &Path, error: JsonError) -> anyhow::Error {
    let said = super::chain_of(&error);
    match error {
        JsonError::Write(_) => error.into(),
        _ => Usage(format!("{}: {said}", file.display())).into(),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {shown}"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Usage(format!("{shown} has more than {FILE_BYTES_MAX} bytes")).into());
    }
    Ok(text)
}

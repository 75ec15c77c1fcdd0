//! `millpond orders`: pure decisions over files, and the workflows over a mirror.

mod file;
mod print;
mod workflow;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use orders::Op;

use super::{Context, Usage};
use crate::output::Exit;

/// Order decisions: who gets which units, from where, and why not; and writing them upstream
///
/// With a file, a decision is pure: no upstream, no database. With --instance it is made from the mirror, without a
/// call, and stored as a plan: `orders plan pick --instance uk`, then `orders show`, `orders approve`, `orders apply`.
#[derive(Debug, Subcommand)]
pub(super) enum Orders {
    /// Plan the input in a file, or the open orders of an instance
    ///
    /// The same input gives the same plan, byte for byte. A plan of an instance is stored with the claims it leaves;
    /// nothing is written upstream before it is approved and applied.
    Plan(Plan),
    /// Plan the input in a file, and print the plan with its exact value and whatever rule it breaks
    Solve {
        /// The input, JSON in the form fulfil-input/1; - is standard input
        file: PathBuf,
        /// What to decide
        #[arg(long, value_enum, default_value_t = Block::Split)]
        op: Block,
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
    /// The stored plans, newest first
    List(workflow::List),
    /// What a stored plan writes, has written, and leaves short
    Show(workflow::Show),
    /// Why one order gets what it gets, unit by unit
    Explain(workflow::Explain),
    /// Approve a plan: from then on nobody else gets the units of its shipments
    Approve(workflow::Approve),
    /// Write an approved plan upstream, or go on where an earlier apply was cut off
    ///
    /// Each shipment is checked against upstream before it is written. Ends with 3 when some were not written or need
    /// a person; a plan that is through is left alone.
    Apply(workflow::Apply),
    /// Cancel a plan whose apply has not begun, and give its units back
    Cancel(workflow::Cancel),
    /// Who holds which units
    Claims(workflow::Claims),
    /// Hold units for an order: no plan takes them away until they are released
    Hold(workflow::Hold),
    /// Give held units back
    Release(workflow::Release),
}

/// What is planned.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// What to decide
    #[arg(value_enum)]
    block: Block,
    /// The input, JSON in the form fulfil-input/1; - is standard input
    #[arg(required_unless_present_any = ["instance", "ask"], conflicts_with_all = ["instance", "ask"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    wave: workflow::WaveArgs,
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

impl Block {
    fn op(self) -> Op {
        match self {
            Self::Split => Op::Split,
            Self::Allocate => Op::Allocate,
            Self::Pick => Op::Pick,
            Self::Fill => Op::Fill,
        }
    }
}

impl Orders {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Plan(Plan {
                block,
                file: Some(file),
                ..
            }) => file::plan(context, block.op(), &file),
            Self::Plan(Plan {
                block,
                file: None,
                wave,
            }) => wave.run(context, block.op()).await,
            Self::Solve { file, op } => file::solve(context, op.op(), &file),
            Self::Check { input, plan } => file::check(context, &input, &plan),
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Explain(explain) => explain.run(context).await,
            Self::Approve(approve) => approve.run(context).await,
            Self::Apply(apply) => apply.run(context).await,
            Self::Cancel(cancel) => cancel.run(context).await,
            Self::Claims(claims) => claims.run(context).await,
            Self::Hold(hold) => hold.run(context).await,
            Self::Release(release) => release.run(context).await,
        }
    }
}

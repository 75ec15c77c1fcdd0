//! Decisions over files: no upstream, no database.

use std::{io::Read as _, path::Path};

use anyhow::Context as _;
use orders::{
    Op, Plan,
    json::{JsonError, check_text, plan_text, read_input, write},
};
use serde::Serialize;

use super::{Context, Usage};
use crate::output::Exit;

/// The most bytes of an input or a plan.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What `orders solve` prints.
#[derive(Serialize)]
struct Solved {
    plan: Plan,
    value: orders::Value,
    violations: Vec<orders::Violation>,
}

pub(super) fn plan(context: &Context, op: Op, file: &Path) -> anyhow::Result<Exit> {
    let plan = plan_text(op, &read(file)?).map_err(|error| wrong(file, error))?;
    context.output.line(&plan)?;
    Ok(Exit::Done)
}

pub(super) fn solve(context: &Context, op: Op, file: &Path) -> anyhow::Result<Exit> {
    let input = read_input(&read(file)?).map_err(|error| wrong(file, error))?;
    let plan = orders::plan(op, &input).map_err(|errors| wrong(file, JsonError::Faults(errors)))?;
    let solved = Solved {
        value: orders::value(&input, &plan),
        violations: orders::check(&input, &plan),
        plan,
    };
    context
        .output
        .line(&write(&solved).map_err(|error| wrong(file, error))?)?;
    Ok(if solved.violations.is_empty() {
        Exit::Done
    } else {
        Exit::Differences
    })
}

pub(super) fn check(context: &Context, input: &Path, plan: &Path) -> anyhow::Result<Exit> {
    let (verdict, text) = check_text(&read(input)?, &read(plan)?).map_err(|error| {
        let file = if matches!(error, JsonError::Plan(..)) {
            plan
        } else {
            input
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

fn wrong(file: &Path, error: JsonError) -> anyhow::Error {
    let said = crate::cli::chain_of(&error);
    match error {
        JsonError::Write(_) => error.into(),
        _ => Usage(format!("{}: {said}", file.display())).into(),
    }
}

/// The text of a file; `-` is standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
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

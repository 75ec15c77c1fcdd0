//! Exact integer programs: a simplex that guides, integer arithmetic that proves.

pub(crate) mod columns;
pub(crate) mod program;
pub(crate) mod search;
mod simplex;

#[cfg(test)]
mod tests;

//! What makes an input unusable, each fault naming its record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::input::{Input, Term};

/// Largest quantity of one record, in smallest steps.
pub const QTY_MAX: i64 = 1_000_000_000_000;
/// Largest single cost, distance or rank.
pub const COST_MAX: i64 = 1_000_000_000_000;
/// Largest weight of a line.
pub const WEIGHT_MAX: i64 = 1_000_000;
/// Largest number of days in a policy.
pub const DAYS_MAX: i64 = 36_500;

/// Faults that are written out; the others are counted.
const SHOWN_MAX: usize = 20;

/// Every fault found; the input is not planned at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputErrors(pub Vec<InputError>);

impl fmt::Display for InputErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().take(SHOWN_MAX).enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for InputErrors {}

/// One fault of an input. Faults of a single order do not stand here: such an order is refused in the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The input has another form.
    #[error("schema is `{found}`, and only `fulfil-input/1` is read")]
    Schema {
        /// What it says it is.
        found: String,
    },
    /// Two records of one kind share an id.
    #[error("{kind} `{id}` stands in the input twice")]
    Duplicate {
        /// Which list.
        kind: &'static str,
        /// The id.
        id: String,
    },
    /// A record names a location that is not listed.
    #[error("{record} is at location `{loc}`, which is not listed")]
    UnknownLocation {
        /// The record.
        record: String,
        /// The location.
        loc: String,
    },
    /// A number is outside its bounds.
    #[error("{record}: `{field}` is {found}, allowed is {min} to {max}")]
    OutOfRange {
        /// The record.
        record: String,
        /// The key.
        field: &'static str,
        /// What it says.
        found: i64,
        /// Least value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// An efficiency term stands in the list twice.
    #[error("config: efficiency names `{term:?}` twice")]
    TermTwice {
        /// The term.
        term: Term,
    },
}

struct Faults(Vec<InputError>);

impl Faults {
    fn range(
        &mut self,
        record: impl Fn() -> String,
        field: &'static str,
        found: i64,
        min: i64,
        max: i64,
    ) {
        if !(min..=max).contains(&found) {
            self.0.push(InputError::OutOfRange {
                record: record(),
                field,
                found,
                min,
                max,
            });
        }
    }

    fn unique<'a>(&mut self, kind: &'static str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeMap::new();
        for id in ids {
            let count: &mut u32 = seen.entry(id).or_default();
            *count += 1;
            if *count == 2 {
                self.0.push(InputError::Duplicate {
                    kind,
                    id: id.to_owned(),
                });
            }
        }
    }
}

/// Looks for every fault that makes `input` unusable as a whole.
pub(crate) fn find(input: &Input) -> Result<(), InputErrors> {
    let mut faults = Faults(Vec::new());
    if input.schema != Input::SCHEMA {
        faults.0.push(InputError::Schema {
            found: input.schema.clone(),
        });
    }
    config(input, &mut faults);
    ids(input, &mut faults);
    places(input, &mut faults);
    numbers(input, &mut faults);
    if faults.0.is_empty() {
        Ok(())
    } else {
        Err(InputErrors(faults.0))
    }
}

fn config(input: &Input, faults: &mut Faults) {
    let config = &input.config;
    let record = || "config".to_owned();
    faults.range(record, "age_step_days", config.age_step_days, 1, DAYS_MAX);
    faults.range(
        record,
        "default_lead_days",
        config.default_lead_days,
        0,
        DAYS_MAX,
    );
    faults.range(record, "horizon_days", config.horizon_days, 0, DAYS_MAX);
    faults.range(record, "slip_days", config.slip_days, 0, DAYS_MAX);
    let mut seen = BTreeSet::new();
    for &term in &config.efficiency {
        if !seen.insert(term) {
            faults.0.push(InputError::TermTwice { term });
        }
    }
}

fn ids(input: &Input, faults: &mut Faults) {
    faults.unique("location", input.locations.iter().map(|x| x.id.as_str()));
    faults.unique("order", input.orders.iter().map(|x| x.id.as_str()));
    faults.unique(
        "allocation",
        input.allocations.iter().map(|x| x.id.as_str()),
    );
    faults.unique("bill of", input.boms.iter().map(|x| x.parent.as_str()));
    faults.unique("item", input.items.iter().map(|x| x.sku.as_str()));
    let lots = input.lots.iter().map(|x| x.id.as_str());
    faults.unique(
        "lot or inbound",
        lots.chain(input.inbound.iter().map(|x| x.id.as_str())),
    );
    let pairs: Vec<String> = input
        .reserves
        .iter()
        .map(|x| format!("{} at {}", x.sku, x.loc))
        .collect();
    faults.unique("reserve", pairs.iter().map(String::as_str));
    let pairs: Vec<String> = input
        .costs
        .shipment
        .iter()
        .map(|x| format!("{} from {}", x.order, x.loc))
        .collect();
    faults.unique("shipment cost", pairs.iter().map(String::as_str));
}

fn places(input: &Input, faults: &mut Faults) {
    let known: BTreeSet<&str> = input.locations.iter().map(|x| x.id.as_str()).collect();
    let lots = input.lots.iter().map(|x| (&x.id, &x.loc, "lot"));
    let inbound = input.inbound.iter().map(|x| (&x.id, &x.loc, "inbound"));
    let reserves = input
        .reserves
        .iter()
        .map(|x| (&x.sku, &x.loc, "reserve of"));
    let costs = input
        .costs
        .shipment
        .iter()
        .map(|x| (&x.order, &x.loc, "shipment cost of"));
    for (id, loc, kind) in lots.chain(inbound).chain(reserves).chain(costs) {
        if !known.contains(loc.as_str()) {
            faults.0.push(InputError::UnknownLocation {
                record: format!("{kind} `{id}`"),
                loc: loc.clone(),
            });
        }
    }
}

fn numbers(input: &Input, faults: &mut Faults) {
    for x in &input.locations {
        let record = || format!("location `{}`", x.id);
        faults.range(record, "rank", x.rank, -COST_MAX, COST_MAX);
        faults.range(record, "capacity", x.capacity.unwrap_or(0), 0, QTY_MAX);
    }
    for x in &input.lots {
        let record = || format!("lot `{}`", x.id);
        faults.range(record, "qty", x.qty, -QTY_MAX, QTY_MAX);
        faults.range(record, "external", x.external, 0, QTY_MAX);
    }
    for x in &input.inbound {
        faults.range(|| format!("inbound `{}`", x.id), "qty", x.qty, 0, QTY_MAX);
    }
    for x in &input.allocations {
        faults.range(
            || format!("allocation `{}`", x.id),
            "qty",
            x.qty,
            0,
            QTY_MAX,
        );
    }
    for x in &input.reserves {
        let record = || format!("reserve of `{}` at `{}`", x.sku, x.loc);
        faults.range(record, "qty", x.qty, 0, QTY_MAX);
    }
    for x in &input.costs.shipment {
        let record = || format!("shipment cost of `{}` from `{}`", x.order, x.loc);
        faults.range(record, "fixed", x.fixed, 0, COST_MAX);
        faults.range(record, "per_unit", x.per_unit, 0, COST_MAX);
        faults.range(record, "distance", x.distance, 0, COST_MAX);
    }
    for (sku, &cost) in &input.costs.assembly {
        faults.range(
            || format!("assembly cost of `{sku}`"),
            "assembly",
            cost,
            0,
            COST_MAX,
        );
    }
}

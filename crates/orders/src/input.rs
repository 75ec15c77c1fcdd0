//! What a plan is made from: the JSON form `fulfil-input/1`. Unknown keys are errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::day::Day;

/// Everything a decision knows. Quantities count the smallest step of their SKU, money counts minor units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Always [`Input::SCHEMA`].
    pub schema: String,
    /// Today.
    pub now: Day,
    /// Policies of the run.
    #[serde(default)]
    pub config: Config,
    /// Places that hold stock and ship.
    pub locations: Vec<Location>,
    /// Bills of materials of kits.
    #[serde(default)]
    pub boms: Vec<Bom>,
    /// Stock on hand.
    pub lots: Vec<Lot>,
    /// Expected receipts.
    #[serde(default)]
    pub inbound: Vec<Inbound>,
    /// Open demand.
    pub orders: Vec<Order>,
    /// Claims that stand before the run.
    #[serde(default)]
    pub allocations: Vec<Allocation>,
    /// What shipping and assembling costs.
    #[serde(default)]
    pub costs: Costs,
    /// Stock that plans avoid eating.
    #[serde(default)]
    pub reserves: Vec<Reserve>,
    /// Rotation rules of SKUs.
    #[serde(default)]
    pub items: Vec<Item>,
}

impl Input {
    /// The only schema this crate reads.
    pub const SCHEMA: &str = "fulfil-input/1";
}

/// Policies of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether orders ahead keep their service (`sequence`) or the wave is one tier (`joint`).
    pub scope: Scope,
    /// Efficiency terms, most important first.
    pub efficiency: Vec<Term>,
    /// What orders are sorted by inside a class.
    pub order_by: OrderBy,
    /// Days of waiting that raise an order by one class; at least 1.
    pub age_step_days: i64,
    /// Days after which an order without ship-by is due.
    pub default_lead_days: i64,
    /// How far ahead inbound stock is promised, in days.
    pub horizon_days: i64,
    /// Whether idle stock of an order ahead may be used by one behind.
    pub lend: bool,
    /// What an order without a date keeps.
    pub hold_no_date: HoldNoDate,
    /// Days by which inbound is assumed late when a loan is judged.
    pub slip_days: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            scope: Scope::Sequence,
            efficiency: vec![
                Term::Cost,
                Term::Shipments,
                Term::Assembled,
                Term::Balance,
                Term::Churn,
            ],
            order_by: OrderBy::Entered,
            age_step_days: 7,
            default_lead_days: 30,
            horizon_days: 365,
            lend: false,
            hold_no_date: HoldNoDate::Strict,
            slip_days: 0,
        }
    }
}

/// How a wave weighs its orders against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Orders in sequence; nobody loses service to an order behind.
    Sequence,
    /// One tier: as little unfilled as possible in all.
    Joint,
}

/// What orders are sorted by inside a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OrderBy {
    /// Oldest first.
    Entered,
    /// Earliest due first.
    Due,
}

/// What an order keeps that cannot be promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HoldNoDate {
    /// Everything it can get.
    Strict,
    /// Nothing until a date exists.
    Release,
}

/// A sum over the wave that a split minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Term {
    /// Money: shipments, units shipped, units assembled.
    Cost,
    /// Pairs of order and location that ship.
    Shipments,
    /// Distance over shipments.
    Distance,
    /// Units shipped times the rank of their location.
    Rank,
    /// Units produced by assembly.
    Assembled,
    /// Units by which reserves are eaten.
    Balance,
    /// Soft-claimed units that the plan moves.
    Churn,
}

impl Term {
    /// Every term, in the order of the specification.
    pub const ALL: [Self; 7] = [
        Self::Cost,
        Self::Shipments,
        Self::Distance,
        Self::Rank,
        Self::Assembled,
        Self::Balance,
        Self::Churn,
    ];
}

/// A place that holds stock and ships.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Its id.
    pub id: String,
    /// Lower is preferred.
    #[serde(default)]
    pub rank: i64,
    /// Units that may ship in one run; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
}

/// How a kit is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bom {
    /// The SKU that is made.
    pub parent: String,
    /// Units that one run makes.
    #[serde(default = "one", rename = "yield")]
    pub yields: i64,
    /// Whether the planner may assemble it; otherwise the SKU is a plain item.
    #[serde(default = "yes")]
    pub auto: bool,
    /// Components of one run.
    pub lines: Vec<BomLine>,
}

/// A component of one run of a bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BomLine {
    /// The component.
    pub sku: String,
    /// Units of it that one run uses.
    pub qty: i64,
}

/// Stock on hand of one SKU, location, batch and expiry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lot {
    /// Its id, unique among lots and inbound.
    pub id: String,
    /// What it holds.
    pub sku: String,
    /// Where.
    pub loc: String,
    /// Units on hand; below zero is an incident.
    pub qty: i64,
    /// Units spoken for outside the planner.
    #[serde(default)]
    pub external: i64,
    /// The supplier's batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// First day on which it has no life left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Day>,
    /// When it came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Day>,
}

/// An expected receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// Its id, unique among lots and inbound.
    pub id: String,
    /// What arrives.
    pub sku: String,
    /// Where.
    pub loc: String,
    /// Units expected.
    pub qty: i64,
    /// When.
    pub eta: Day,
    /// Unconfirmed inbound is never claimed.
    #[serde(default = "yes")]
    pub confirmed: bool,
    /// First day on which it has no life left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Day>,
}

/// Open demand: a sale and its open lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// When it was entered.
    pub entered: Day,
    /// When it first became plannable; absent: when entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligible: Option<Day>,
    /// 0 (most urgent) to 9.
    #[serde(default = "class_default")]
    pub class: i64,
    /// The day it should have shipped by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_by: Option<Day>,
    /// The day before which nothing ships.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Day>,
    /// What may not ship in part.
    #[serde(default)]
    pub complete: Complete,
    /// Most shipments it may get, those of earlier runs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_shipments: Option<i64>,
    /// Shipments of earlier runs.
    #[serde(default)]
    pub shipments_made: i64,
    /// Least share of its open units that one run may ship, in per cent.
    #[serde(default)]
    pub min_fill_pct: i64,
    /// Least life that units must have left when they ship, in days.
    #[serde(default)]
    pub min_shelf_days: i64,
    /// Locations it may ship from; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_from: Option<Vec<String>>,
    /// Its lines, most important first.
    pub lines: Vec<Line>,
}

/// What of an order may not ship in part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Complete {
    /// Anything may.
    #[default]
    None,
    /// Each line ships in full or not at all.
    Line,
    /// All lines ship in full, or nothing does.
    Order,
}

/// Open demand for one SKU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its id, unique inside the order.
    pub id: String,
    /// What is asked for.
    pub sku: String,
    /// Open units; at least 1.
    pub qty: i64,
    /// How much an unfilled unit of it counts.
    #[serde(default = "one")]
    pub weight: i64,
}

/// A quantity of one node, claimed for one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// Its id.
    pub id: String,
    /// Who holds it.
    pub order: String,
    /// The line it is for; absent: any line that needs the SKU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The lot or inbound it is of.
    pub node: String,
    /// Units.
    pub qty: i64,
    /// Whether a run may move it.
    pub strength: Strength,
    /// When it was made.
    pub made: Day,
    /// The day from which it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Day>,
}

/// Whether a run may move a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// The current plan; it protects against orders behind.
    Soft,
    /// A fixed fact.
    Hard,
}

/// What shipping and assembling costs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Costs {
    /// Per order (or `*`) and location.
    pub shipment: Vec<ShipmentCost>,
    /// Money per assembled unit, by SKU.
    pub assembly: BTreeMap<String, i64>,
}

/// What a shipment of an order from a location costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShipmentCost {
    /// The order, or `*` for every order without an entry of its own.
    pub order: String,
    /// The location.
    pub loc: String,
    /// Money per shipment.
    pub fixed: i64,
    /// Money per unit.
    pub per_unit: i64,
    /// Length of the way.
    #[serde(default)]
    pub distance: i64,
}

/// Stock that plans avoid eating.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The SKU.
    pub sku: String,
    /// Where.
    pub loc: String,
    /// Units that should stay free.
    pub qty: i64,
}

/// The rotation rule of a SKU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The SKU.
    pub sku: String,
    /// Absent: FEFO if any of its stock expires, else FIFO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// Which units leave first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Rotation {
    /// Earliest expiry first.
    Fefo,
    /// Earliest received first.
    Fifo,
    /// Fewest nodes.
    Any,
}

fn one() -> i64 {
    1
}

fn yes() -> bool {
    true
}

fn class_default() -> i64 {
    5
}

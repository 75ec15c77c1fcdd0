//! What a decision answers: the JSON form `fulfil-plan/1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::day::Day;
use crate::input::{Allocation, Term};

/// The answer to one [`Input`](crate::Input): who gets what, from where, when, and why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`Plan::SCHEMA`].
    pub schema: String,
    /// Which block made it.
    pub op: Op,
    /// Orders, first served first.
    pub sequence: Vec<String>,
    /// What ships, by order in sequence, then date, then location.
    pub shipments: Vec<Shipment>,
    /// The day on which an order or line can ship in full.
    pub promises: Vec<Promise>,
    /// Units that nobody gets, each with the obstacle.
    pub short: Vec<Short>,
    /// Claims that stand after the plan.
    pub claims: Vec<Allocation>,
    /// Hard claims that lost units, because the units are gone.
    pub broken: Vec<Broken>,
    /// What each order gets, by order id.
    pub service: BTreeMap<String, Service>,
    /// Exact value of each configured term.
    pub efficiency: BTreeMap<Term, i128>,
    /// The same for orders planned one after another.
    pub baseline: BTreeMap<Term, i128>,
    /// Which engine made it, and how far it may be from the best.
    pub engine: String,
    /// Whether service and every efficiency term are proven best.
    pub exact: bool,
    /// Everything that was refused, moved, broken or left short, and why.
    pub reasons: Vec<Reason>,
}

impl Plan {
    /// The only schema this crate writes.
    pub const SCHEMA: &str = "fulfil-plan/1";
}

/// One of the four blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Op {
    /// Who may count on which units, and from when.
    Allocate,
    /// Which location ships what, today.
    Split,
    /// Which units leave the shelf, and what is assembled first.
    Pick,
    /// Allocate after stock arrived, then pick.
    Fill,
}

/// What one order gets from one location in one go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipment {
    /// The order.
    pub order: String,
    /// The location.
    pub loc: String,
    /// The day it can leave.
    pub date: Day,
    /// Units by line of the order.
    pub lines: Vec<LineQty>,
    /// Units by lot or inbound, in rotation order.
    pub takes: Vec<NodeQty>,
    /// Units to assemble, components before their kits.
    pub assemble: Vec<SkuQty>,
}

/// Units of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineQty {
    /// The line.
    pub line: String,
    /// Units.
    pub qty: i64,
}

/// Units of a lot or inbound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeQty {
    /// The lot or inbound.
    pub node: String,
    /// Units.
    pub qty: i64,
}

/// Units of a SKU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkuQty {
    /// The SKU.
    pub sku: String,
    /// Units.
    pub qty: i64,
}

/// The day on which an order or a line can ship in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// The order.
    pub order: String,
    /// The line; absent: the whole order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// `None`: no supply in the horizon makes it possible.
    pub date: Option<Day>,
}

/// Units of a line that nobody gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Short {
    /// The order.
    pub order: String,
    /// The line.
    pub line: String,
    /// Units.
    pub qty: i64,
    /// The obstacle; the same code stands in [`Plan::reasons`] with its details.
    pub reason: Code,
}

/// A hard claim that lost units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// The claim.
    pub id: String,
    /// Units it lost.
    pub qty: i64,
}

/// What an order gets, in the form its block and policy call for. Smaller is better throughout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Service {
    /// `allocate`, an order that ships complete.
    Order(OrderService),
    /// `allocate`, an order whose lines ship complete.
    Lines(LinesService),
    /// `allocate`, an order that ships anything.
    ByDate(ByDateService),
    /// `split` and `pick`: unfilled units by line id.
    Unfilled(BTreeMap<String, i64>),
}

/// Service of an order that ships complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderService {
    /// First day on which all lines can ship together.
    #[serde(deserialize_with = "present")]
    pub date: Option<Day>,
    /// Units missing at the horizon; 0 with a date.
    pub unfilled: i64,
    /// The same by line, in the order of the lines; absent with a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfilled_lines: Option<BTreeMap<String, i64>>,
}

/// Service of an order whose lines ship complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinesService {
    /// First day on which the line can ship in full.
    pub lines: BTreeMap<String, Option<Day>>,
    /// Units missing at the horizon, of lines without a day.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unfilled: BTreeMap<String, i64>,
}

/// Service of an order that ships anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByDateService {
    /// Units still missing up to each candidate day.
    pub unfilled_by_date: DayMap,
}

/// Days in ascending order with a quantity each; a JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayMap(pub Vec<(Day, i64)>);

impl Serialize for DayMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(day, qty)| (day, qty)))
    }
}

impl<'de> Deserialize<'de> for DayMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<Day, i64>::deserialize(deserializer)?;
        Ok(Self(map.into_iter().collect()))
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    Option::deserialize(deserializer)
}

/// Why something was refused, moved, broken or left short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The obstacle.
    pub code: Code,
    /// The order it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The line it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The lot or inbound it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<i64>,
    /// The obstacle by name: "held hard for SO-104", "component BOLT short by 3 at WEST".
    pub text: String,
}

/// The obstacles of section 16 of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// There are no units.
    NoStock,
    /// Nothing arrives in time.
    NoSupplyInHorizon,
    /// Orders ahead have it.
    Ahead,
    /// Another order's hard claim has it.
    HardOfOther,
    /// The units are expired when they could ship.
    Expired,
    /// The units have too little life left.
    ShelfLife,
    /// A component is missing.
    Component,
    /// The components are there, but not in one place.
    ComponentOtherPlace,
    /// The bill of materials cannot be used.
    BomInvalid,
    /// Too small a share of the order.
    MinFill,
    /// The line ships in full or not at all.
    CompleteLine,
    /// The order ships in full or not at all.
    CompleteOrder,
    /// The order has no shipment left.
    MaxShipments,
    /// The units are where the order may not ship from.
    ShipFrom,
    /// The location ships no more units in this run.
    Capacity,
    /// The order may not ship yet.
    NotBefore,
    /// The order is on hold.
    OnHold,
    /// The sale is not in a state that can be picked.
    State,
    /// The stock was not there any more when asked again.
    Stale,
    /// The units are part of a write with unknown outcome.
    InDoubt,
    /// The node holds less than nothing.
    NodeDeficit,
    /// A hard claim lost its units.
    HardBroken,
    /// The next step cannot be taken back and needs permission.
    NeedsPermission,
    /// The record contradicts itself (not in the specification: it has no code for a refused order).
    BadOrder,
    /// A soft claim moved (not in the specification: it has no code for a moved unit).
    SoftMoved,
}

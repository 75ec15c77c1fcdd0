//! What a plan is asked for: whose orders, under which rules, and how far they are to go.

use std::collections::{BTreeMap, BTreeSet};

use orders::{
    Day, Op,
    input::{Complete, Config, Costs, Location, Reserve},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a plan is asked for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAsk {
    /// The instance whose orders are planned.
    pub instance: String,
    /// Which block decides: `pick` (allocate, then what leaves today), `split`, `fill` or `allocate`.
    #[serde(default = "pick")]
    pub op: Op,
    /// Only these orders, by number; empty: every open one.
    #[serde(default)]
    pub orders: BTreeSet<String>,
    /// Only orders entered on this day or later.
    #[serde(default)]
    pub entered_from: Option<Day>,
    /// Only orders entered on this day or earlier.
    #[serde(default)]
    pub entered_to: Option<Day>,
    /// How far shipments are to go upstream.
    #[serde(default)]
    pub through: Through,
    /// Whether orders that are still drafts take part; they are authorised first.
    #[serde(default)]
    pub drafts: bool,
    /// Whether a simple sale may become an advanced one, which nobody can take back.
    #[serde(default)]
    pub may_convert: bool,
    /// Rules of every order.
    #[serde(default)]
    pub rules: Rules,
    /// Rules of a customer's orders, by name; they win over `rules`.
    #[serde(default)]
    pub customers: BTreeMap<String, Rules>,
    /// Rules of one order, by number; they win over its customer's.
    #[serde(default)]
    pub order_rules: BTreeMap<String, Rules>,
    /// Policies of the run.
    #[serde(default)]
    pub config: Config,
    /// What shipping and assembling costs; an order is named by its number.
    #[serde(default)]
    pub costs: Costs,
    /// Stock that plans avoid eating.
    #[serde(default)]
    pub reserves: Vec<Reserve>,
    /// Rank and capacity of locations, by name; the others follow in the order of their names.
    #[serde(default)]
    pub locations: Vec<Location>,
    /// The carrier of shipments, if the sale names none.
    #[serde(default)]
    pub carrier: Option<String>,
    /// Another instance whose orders get, behind all own ones, what they lack: a sale here and a purchase there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<Serves>,
    /// Account of work in progress for assemblies; absent: as the newest mirrored assembly has it.
    #[serde(default)]
    pub wip_account: Option<String>,
    /// Account of finished goods; absent: as the newest mirrored assembly has it.
    #[serde(default)]
    pub finished_account: Option<String>,
}

impl PlanAsk {
    /// Everything open in `instance`, under no rules, up to authorised picks.
    pub fn of(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            op: pick(),
            orders: BTreeSet::new(),
            entered_from: None,
            entered_to: None,
            through: Through::default(),
            drafts: false,
            may_convert: false,
            rules: Rules::default(),
            customers: BTreeMap::new(),
            order_rules: BTreeMap::new(),
            config: Config::default(),
            costs: Costs::default(),
            reserves: Vec::new(),
            locations: Vec::new(),
            carrier: None,
            serves: None,
            wip_account: None,
            finished_account: None,
        }
    }

    /// The rules of one order.
    pub(crate) fn rules_of(&self, customer: &str, order: &str) -> Rules {
        let mut rules = self.rules.clone();
        for over in [self.customers.get(customer), self.order_rules.get(order)]
            .into_iter()
            .flatten()
        {
            rules.take_over(over);
        }
        rules
    }
}

/// An instance that buys from the one that is planned.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serves {
    /// The instance whose orders lack something.
    pub instance: String,
    /// Only these orders of it, by number; empty: every open one.
    #[serde(default)]
    pub orders: BTreeSet<String>,
    /// What the buying company is called among the customers of the selling one.
    pub customer: String,
    /// What the selling company is called among the suppliers of the buying one.
    pub supplier: String,
    /// Where the goods are received; absent: at the location of each order.
    #[serde(default)]
    pub location: Option<String>,
    /// Days until they are there; 7 if absent.
    #[serde(default = "days")]
    pub days: i32,
    /// The tax rule of the sale's lines.
    #[serde(default = "no_tax")]
    pub sale_tax_rule: String,
    /// The tax rule of the purchase's lines.
    #[serde(default = "no_tax")]
    pub purchase_tax_rule: String,
}

fn days() -> i32 {
    7
}

fn no_tax() -> String {
    "Tax Exempt".to_owned()
}

fn pick() -> Op {
    Op::Pick
}

/// How far shipments go.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Through {
    /// The pick is authorised: stock is committed.
    #[default]
    Pick,
    /// The goods are packed.
    Pack,
    /// The shipment is authorised.
    Ship,
    /// The goods are invoiced.
    Invoice,
}

/// Rules of orders. What is absent is left to the wider rule, and in the end to the standard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// 0 (most urgent) to 9; the standard is 5.
    pub class: Option<i64>,
    /// What may not ship in part; the standard is `none`.
    pub complete: Option<Complete>,
    /// Most shipments, those made before included.
    pub max_shipments: Option<i64>,
    /// Least share of the open units that one run may ship, in per cent.
    pub min_fill_pct: Option<i64>,
    /// Least life that units must have left, in days.
    pub min_shelf_days: Option<i64>,
    /// The day before which nothing ships.
    pub not_before: Option<Day>,
    /// Locations it may ship from, by name.
    pub ship_from: Option<Vec<String>>,
    /// Takes no part but with its hard claims.
    pub on_hold: Option<bool>,
}

impl Rules {
    fn take_over(&mut self, other: &Self) {
        macro_rules! over { ($($field:ident),*) => { $(
            if other.$field.is_some() { self.$field.clone_from(&other.$field); }
        )* } }
        over!(
            class,
            complete,
            max_shipments,
            min_fill_pct,
            min_shelf_days,
            not_before,
            ship_from,
            on_hold
        );
    }
}

//! The company as it stands at the start: made by rule from the seed and the moment.

mod deals;
mod master;
mod service_desk;
mod stock;

pub(crate) use crate::chance::{guid, roll};

use super::kinds::{Kind, kind};
use super::options::Options;
use super::render::stamp;
use super::world::{Members, World};
use crate::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Makes the records.
pub(crate) fn world(options: Options, clock: Clock, base: String) -> World {
    let now = clock.now();
    let mut world = World::empty(options, clock, base);
    let mut seeder = Seeder {
        seed: world.options.seed,
        now,
        world: &mut world,
    };
    seeder.setup_tables();
    seeder.companies();
    seeder.catalog();
    seeder.deals();
    seeder.tickets();
    seeder.adjustments();
    world.drift_left = world.options.size.opportunities / 2;
    world
}

/// Makes records one after the other.
struct Seeder<'w> {
    seed: u64,
    now: Timestamp,
    world: &'w mut World,
}

impl Seeder<'_> {
    fn roll(&self, what: &str, n: u64, sides: u64) -> u64 {
        roll(self.seed, what, n, sides)
    }

    /// The moment so many seconds ago.
    fn ago(&self, secs: i64) -> Timestamp {
        self.now
            .saturating_sub(SignedDuration::from_secs(secs))
            .unwrap_or(self.now)
    }

    /// Midnight of the day so many days from now.
    fn day(&self, days: i64) -> String {
        let day = self
            .ago(-days * DAY)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        format!("{day}T00:00:00Z")
    }

    fn add(&mut self, name: &str, members: Value, entered: Timestamp, updated: Timestamp) -> i64 {
        let members = members.as_object().cloned().unwrap_or_default();
        let members: Members = members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect();
        self.world.add_at(kind(name), members, entered, updated)
    }

    /// Signs what follows as this member.
    fn act_as(&mut self, n: u64) {
        let members = kind("member");
        let ids = self.world.ids(members, None);
        let id = ids[roll(self.seed, "actor", n, ids.len() as u64) as usize];
        let name = self.world.row(members, id);
        let name = name.and_then(|row| row.members.get("identifier")?.as_str());
        self.world.actor = name.unwrap_or("System").into();
    }
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The user-defined fields of a kind, without values, as every record of it lists them.
pub(crate) fn custom_fields(of: &Kind) -> Vec<Value> {
    CUSTOM
        .iter()
        .enumerate()
        .filter(|(_, (name, ..))| *name == of.name)
        .map(|(at, (_, caption, ty))| {
            json!({"id": at + 1, "caption": caption, "type": ty, "entryMethod": "EntryField", "numberOfDecimals": 0,
                   "value": null, "connectWiseId": guid(0, "custom", at as u64)})
        })
        .collect()
}

/// Kind, caption and type of the user-defined fields.
const CUSTOM: &[(&str, &str, &str)] = &[
    ("opportunity", "Deal Source", "Text"),
    ("opportunity", "Warranty Years", "Number"),
    ("product", "Cin7 Sale", "Text"),
    ("catalogItem", "Barcodes", "Text"),
    ("company", "VIP", "Checkbox"),
    ("contact", "LinkedIn URL", "Text"),
    ("ticket", "TomNumber", "Number"),
];

/// The custom fields of a kind with the values named by caption.
fn custom_with(of: &str, values: &[(&str, Value)]) -> Value {
    let mut fields = custom_fields(kind(of));
    for field in &mut fields {
        for (caption, value) in values {
            if field["caption"] == *caption {
                field["value"] = value.clone();
            }
        }
    }
    fields.into()
}

/// An instant as text.
fn text(at: Timestamp) -> Value {
    stamp(at).into()
}

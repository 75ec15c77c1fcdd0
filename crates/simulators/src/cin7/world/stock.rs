//! Stock by product, place and batch, and the movements that explain every unit on hand.

use super::World;
use jiff::civil::Date;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// A warehouse, or a bin inside one.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub id: Uuid,
    pub name: String,
    /// Position of the warehouse when this is a bin.
    pub parent: Option<u16>,
    pub deprecated: bool,
    pub default: bool,
    pub address: Option<serde_json::Map<String, serde_json::Value>>,
    pub gone: bool,
}

/// Where units lie and which batch they belong to. `batch` 0 stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CardKey {
    pub product: u32,
    /// The warehouse.
    pub at: u16,
    /// The place itself: the warehouse again, or a bin of it.
    pub place: u16,
    pub batch: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Card {
    pub on_hand: Decimal,
    pub allocated: Decimal,
    pub cost: Decimal,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Batch {
    pub name: String,
    pub expiry: Option<Date>,
}

/// Goods on their way to a warehouse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coming {
    pub on_order: Decimal,
    pub in_transit: Decimal,
    pub next_delivery: Option<Date>,
}

/// One change of what is on hand.
#[derive(Clone, Debug)]
pub(crate) struct Movement {
    pub task: Uuid,
    pub kind: &'static str,
    pub date: Date,
    pub number: String,
    pub quantity: Decimal,
    pub amount: Decimal,
    pub key: CardKey,
}

#[derive(Debug, Default)]
pub(crate) struct Stock {
    pub cards: BTreeMap<CardKey, Card>,
    pub coming: HashMap<(u32, u16), Coming>,
    /// Position 0 is unused.
    pub batches: Vec<Batch>,
    batch_at: HashMap<Batch, u32>,
    /// Since the account was opened; what was there at first is no movement.
    pub movements: Vec<Movement>,
    /// Products whose availability changed since it was last announced.
    pub touched: BTreeSet<u32>,
    /// On hand when the account was opened, for products that moved since.
    pub opening: BTreeMap<CardKey, Decimal>,
}

/// Why a movement happens.
pub(crate) struct Cause<'a> {
    pub task: Uuid,
    pub kind: &'static str,
    pub number: &'a str,
    pub date: Date,
}

impl Stock {
    pub(crate) fn new() -> Stock {
        let none = Batch {
            name: String::new(),
            expiry: None,
        };
        Stock {
            batches: vec![none.clone()],
            batch_at: HashMap::from([(none, 0)]),
            ..Stock::default()
        }
    }

    /// The number of a batch, given one if it is new.
    pub(crate) fn batch(&mut self, name: &str, expiry: Option<Date>) -> u32 {
        let batch = Batch {
            name: name.to_owned(),
            expiry,
        };
        if let Some(at) = self.batch_at.get(&batch) {
            return *at;
        }
        self.batches.push(batch.clone());
        let at = (self.batches.len() - 1) as u32;
        self.batch_at.insert(batch, at);
        at
    }

    /// The number of a batch that exists.
    pub(crate) fn find_batch(&self, name: &str, expiry: Option<Date>) -> Option<u32> {
        self.batch_at
            .get(&Batch {
                name: name.to_owned(),
                expiry,
            })
            .copied()
    }

    /// All cards of a product in a warehouse, by place and batch.
    pub(crate) fn cards_at(
        &self,
        product: u32,
        at: u16,
    ) -> impl Iterator<Item = (&CardKey, &Card)> {
        let from = CardKey {
            product,
            at,
            place: 0,
            batch: 0,
        };
        let to = CardKey {
            product,
            at,
            place: u16::MAX,
            batch: u32::MAX,
        };
        self.cards.range(from..=to)
    }

    /// All cards of a product.
    pub(crate) fn cards_of(&self, product: u32) -> impl Iterator<Item = (&CardKey, &Card)> {
        let from = CardKey {
            product,
            at: 0,
            place: 0,
            batch: 0,
        };
        let to = CardKey {
            product,
            at: u16::MAX,
            place: u16::MAX,
            batch: u32::MAX,
        };
        self.cards.range(from..=to)
    }

    /// On hand minus allocated in a warehouse; can be negative.
    pub(crate) fn available(&self, product: u32, at: u16) -> Decimal {
        self.cards_at(product, at)
            .map(|(_, card)| card.on_hand - card.allocated)
            .sum()
    }

    /// Allocates up to `wanted` and returns how much it got.
    pub(crate) fn allocate(&mut self, product: u32, at: u16, wanted: Decimal) -> Decimal {
        let free = self.available(product, at).max(Decimal::ZERO);
        let got = wanted.min(free);
        self.touched.insert(product);
        let mut left = got;
        for (_, card) in self.cards_mut(product, at) {
            let take = left.min((card.on_hand - card.allocated).max(Decimal::ZERO));
            card.allocated += take;
            left -= take;
        }
        got - left
    }

    /// Gives back what was allocated in a warehouse.
    pub(crate) fn release(&mut self, product: u32, at: u16, mut quantity: Decimal) {
        self.touched.insert(product);
        let mut cards: Vec<_> = self.cards_mut(product, at).collect();
        // Cards that hold more promises than goods are relieved first.
        cards.sort_by_key(|(_, card)| card.on_hand - card.allocated);
        for (_, card) in cards {
            let give = quantity.min(card.allocated).max(Decimal::ZERO);
            card.allocated -= give;
            quantity -= give;
        }
    }

    /// Changes what is on hand by `quantity` and notes why.
    pub(crate) fn shift(
        &mut self,
        key: CardKey,
        quantity: Decimal,
        cost: Decimal,
        cause: &Cause<'_>,
    ) {
        let card = self.cards.entry(key).or_insert_with(|| Card {
            cost,
            ..Card::default()
        });
        self.opening.entry(key).or_insert(card.on_hand);
        self.touched.insert(key.product);
        card.on_hand += quantity;
        let amount = (quantity * card.cost).round_dp(4);
        self.movements.push(Movement {
            task: cause.task,
            kind: cause.kind,
            date: cause.date,
            number: cause.number.to_owned(),
            quantity,
            amount,
            key,
        });
        self.settle(key);
    }

    /// Moves promises off a card that no longer covers them onto its neighbours.
    fn settle(&mut self, key: CardKey) {
        let Some(card) = self.cards.get_mut(&key) else {
            return;
        };
        let short = card.allocated - card.on_hand;
        if short <= Decimal::ZERO || card.allocated.is_zero() {
            return;
        }
        let mut moved = short.min(card.allocated);
        let before = moved;
        for (other, neighbour) in self.cards_mut(key.product, key.at) {
            let room = (neighbour.on_hand - neighbour.allocated).max(Decimal::ZERO);
            if *other != key && room > Decimal::ZERO {
                let take = room.min(moved);
                neighbour.allocated += take;
                moved -= take;
            }
        }
        if let Some(card) = self.cards.get_mut(&key) {
            card.allocated -= before - moved;
        }
    }

    /// Expects goods at a warehouse; negative quantities take expectations back.
    pub(crate) fn expect(&mut self, product: u32, at: u16, on_order: Decimal, in_transit: Decimal) {
        let coming = self.coming.entry((product, at)).or_default();
        coming.on_order += on_order;
        coming.in_transit += in_transit;
        // Expected goods show even where none have ever been.
        if self.cards_at(product, at).next().is_none() {
            self.cards.insert(
                CardKey {
                    product,
                    at,
                    place: at,
                    batch: 0,
                },
                Card::default(),
            );
        }
    }

    fn cards_mut(&mut self, product: u32, at: u16) -> impl Iterator<Item = (&CardKey, &mut Card)> {
        let from = CardKey {
            product,
            at,
            place: 0,
            batch: 0,
        };
        let to = CardKey {
            product,
            at,
            place: u16::MAX,
            batch: u32::MAX,
        };
        self.cards.range_mut(from..=to)
    }
}

impl World {
    /// The warehouse a place belongs to: itself, or the one around a bin.
    pub(crate) fn warehouse_of(&self, place: u16) -> u16 {
        self.place(place).parent.unwrap_or(place)
    }

    pub(crate) fn card_key(&self, product: u32, place: u16, batch: u32) -> CardKey {
        CardKey {
            product,
            at: self.warehouse_of(place),
            place,
            batch,
        }
    }

    /// `"Main Warehouse"`, or `"Main Warehouse: A-01"` for a bin.
    pub(crate) fn place_name(&self, place: u16) -> String {
        let here = self.place(place);
        match here.parent {
            Some(parent) => format!("{}: {}", self.place(parent).name, here.name),
            None => here.name.clone(),
        }
    }

    /// Finds a place by its id, or by its name as [`World::place_name`] writes it, without regard to case.
    pub(crate) fn find_place(&self, id: Option<Uuid>, name: Option<&str>) -> Option<u16> {
        let live = || self.places.iter().enumerate().filter(|(_, p)| !p.gone);
        if let Some(id) = id {
            return live().find(|(_, p)| p.id == id).map(|(at, _)| at as u16);
        }
        let name = name?.trim();
        live()
            .map(|(at, _)| at as u16)
            .find(|at| self.place_name(*at).eq_ignore_ascii_case(name))
    }
}

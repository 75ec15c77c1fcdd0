//! Business going on: scripted events, and single named actions for tests.

use super::server::Cin7;
use super::world::sale::{Kind, Line, Sale, Status};
use super::world::{World, roll};
use jiff::Span;
use rust_decimal::Decimal;
use std::sync::Arc;

impl Cin7 {
    /// Plays `n` scripted events: new sales, edits, steps of open sales, voids, stock moves, bulk touches, deletions.
    /// The same seed plays the same script.
    ///
    /// # Panics
    ///
    /// When there is no such account, as all actions do.
    pub fn tick(&self, account_id: &str, n: usize) {
        self.world(account_id).tick(n);
    }

    /// Enters `n` new sales with authorised orders and returns their ids.
    pub fn add_sales(&self, account_id: &str, n: usize) -> Vec<String> {
        let mut world = self.world(account_id);
        (0..n).map(|_| world.play_new_sale().to_string()).collect()
    }

    /// Changes the note and the stamp of exactly `n` sales, spread over the account, and returns their ids.
    pub fn edit_sales(&self, account_id: &str, n: usize) -> Vec<String> {
        let mut world = self.world(account_id);
        let ids: Vec<_> = world.live_sales().map(|sale| sale.id).collect();
        let step = (ids.len() / n.max(1)).max(1);
        let chosen: Vec<_> = ids.into_iter().step_by(step).take(n).collect();
        for id in &chosen {
            world.edit_sale(*id);
        }
        chosen.iter().map(ToString::to_string).collect()
    }

    /// Moves the stamp of one sale and changes nothing else. `false` if there is no such sale.
    pub fn touch(&self, account_id: &str, sale_id: &str) -> bool {
        let mut world = self.world(account_id);
        let now = world.now();
        let found = uuid::Uuid::parse_str(sale_id)
            .ok()
            .and_then(|id| world.sale_by_id.get(&id).copied());
        let sale = found.and_then(|at| world.sales[at as usize].as_mut());
        sale.map(|sale| sale.updated = now).is_some()
    }

    /// Gives `n` sales one identical stamp without changing them, oldest first, as the platform does now and then.
    pub fn bulk_touch(&self, account_id: &str, n: usize) -> Vec<String> {
        self.world(account_id)
            .bulk_touch(n)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Voids a sale: its stamp moves, its lines go, its stock is free again. `false` if there is no such sale.
    pub fn void_sale(&self, account_id: &str, sale_id: &str) -> bool {
        let mut world = self.world(account_id);
        uuid::Uuid::parse_str(sale_id).is_ok_and(|id| world.void_sale(id))
    }

    /// Removes a sale for good, as deleting a draft on the web site does: it vanishes from every list.
    /// `false` if there is no such sale.
    pub fn delete_sale(&self, account_id: &str, sale_id: &str) -> bool {
        let mut world = self.world(account_id);
        uuid::Uuid::parse_str(sale_id).is_ok_and(|id| world.delete_sale(id))
    }

    /// Books `n` stock adjustments of a few units each and returns the ids of the products.
    pub fn move_stock(&self, account_id: &str, n: usize) -> Vec<String> {
        self.world(account_id)
            .move_stock(n)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Changes the price and the stamp of exactly `n` products (fewer if there are fewer) and returns their ids.
    pub fn edit_products(&self, account_id: &str, n: usize) -> Vec<String> {
        let mut world = self.world(account_id);
        let now = world.now();
        let chosen = world.products.iter_mut().filter(|p| !p.deprecated).take(n);
        chosen
            .map(|product| {
                product.price += Decimal::new(1, 2);
                product.modified = now;
                product.id.to_string()
            })
            .collect()
    }

    /// Removes a row of a reference book, which leaves no trace. `false` if there is none of that name.
    pub fn delete_book_row(&self, account_id: &str, path: &str, name: &str) -> bool {
        self.world(account_id).delete_book_row(path, name)
    }
}

/// A scripted step is taken by one of this many of the newest open sales.
const STEP_AMONG: usize = 60;

impl World {
    pub(crate) fn tick(&mut self, n: usize) {
        for _ in 0..n {
            let event = self.ticks;
            self.ticks += 1;
            let dice = roll(self.options.seed, "tick", event, 100);
            match dice {
                0..30 => drop(self.play_new_sale()),
                30..60 => self.step_open_sale(event),
                60..72 => {
                    if let Some(id) = self.some_sale(event) {
                        self.edit_sale(id);
                    }
                }
                72..76 => {
                    if let Some(id) = self.some_sale(event) {
                        self.void_sale(id);
                    }
                }
                76..82 => drop(self.move_stock(1 + (event % 4) as usize)),
                82..86 => self.move_goods(event),
                86..94 => self.touch_master(event),
                94..97 => {
                    let most = (self.sales.len() as u64 / 4).clamp(2, 300);
                    drop(
                        self.bulk_touch(2 + roll(self.options.seed, "bulk", event, most) as usize),
                    );
                }
                _ => self.drop_draft(),
            }
        }
    }

    /// Enters a sale with an authorised order: a random customer, one to six lines like those of an older sale.
    pub(crate) fn play_new_sale(&mut self) -> uuid::Uuid {
        let id = self.new_id();
        let n = self.created;
        let seed = self.options.seed;
        let now = self.now();
        let today = self.today();
        self.numbers.sale += 1;
        let pool: Vec<u32> = (0..self.products.len() as u32)
            .filter(|at| !self.product(*at).service && !self.product(*at).deprecated)
            .collect();
        let lines = (0..1 + roll(seed, "new lines", n, 6)).filter_map(|step| {
            let at = *pool.get(roll(seed, "new line", n * 8 + step, pool.len() as u64) as usize)?;
            Some(Line {
                product: at,
                quantity: Decimal::from(1 + roll(seed, "new units", n * 8 + step, 12)),
                price: self.product(at).price,
                discount: Decimal::ZERO,
                tax: 0,
                drop_ship: false,
                backorder: Decimal::ZERO,
                comment: None,
            })
        });
        let lines: Vec<Line> = lines.collect();
        let kind = if roll(seed, "new kind", n, 5) == 0 {
            Kind::Advanced
        } else {
            Kind::Simple
        };
        let sale = Sale {
            id,
            number: format!("SO-{}", self.numbers.sale),
            kind,
            customer: roll(seed, "new customer", n, self.customers.len() as u64) as u32,
            location: 0,
            created: now,
            updated: now,
            order_date: today,
            ship_by: Some(today.saturating_add(Span::new().days(3))),
            skip_quote: true,
            quote: Status::NotAvailable,
            order: Status::Authorised,
            voided: false,
            currency_rate: Decimal::ONE,
            lines: Arc::new(lines),
            charges: Arc::new(vec![]),
            fulfilments: vec![],
            invoices: vec![],
            credit_notes: vec![],
            prepayments: vec![],
            header: None,
        };
        let at = self.sales.len() as u32;
        self.sales.push(Some(sale));
        self.sale_by_id.insert(id, at);
        self.hold_stock(at);
        id
    }

    fn some_sale(&self, event: u64) -> Option<uuid::Uuid> {
        let at = roll(
            self.options.seed,
            "which sale",
            event,
            self.sales.len() as u64,
        ) as usize;
        self.sales
            .get(at)?
            .as_ref()
            .filter(|sale| !sale.voided)
            .map(|sale| sale.id)
    }

    pub(crate) fn edit_sale(&mut self, id: uuid::Uuid) {
        let now = self.now();
        let Some(at) = self.sale_by_id.get(&id).copied() else {
            return;
        };
        if let Some(sale) = self.sales[at as usize].as_mut() {
            sale.updated = now;
            let note = format!("Edited {now}");
            sale.header_mut().written.insert("Note".into(), note.into());
        }
    }

    /// Takes one of the open sales a step further: picked, packed, shipped, invoiced, paid.
    fn step_open_sale(&mut self, event: u64) {
        let open = |sale: &Sale| sale.order == Status::Authorised && !sale.voided;
        let newest = (0..self.sales.len() as u32)
            .rev()
            .filter(|at| self.sales[*at as usize].as_ref().is_some_and(open));
        let candidates: Vec<u32> = newest.take(STEP_AMONG).collect();
        let start = roll(
            self.options.seed,
            "which step",
            event,
            candidates.len() as u64,
        ) as usize;
        for nth in 0..candidates.len() {
            if self.step(candidates[(start + nth) % candidates.len()]) {
                return;
            }
        }
    }

    pub(crate) fn void_sale(&mut self, id: uuid::Uuid) -> bool {
        let at = self.sale_by_id.get(&id).copied();
        let live = at.filter(|at| {
            self.sales[*at as usize]
                .as_ref()
                .is_some_and(|sale| !sale.voided)
        });
        if let Some(at) = live {
            self.void_at(at);
        }
        live.is_some()
    }

    pub(crate) fn bulk_touch(&mut self, n: usize) -> Vec<uuid::Uuid> {
        let now = self.now();
        let sales = self.sales.iter_mut().filter_map(Option::as_mut).take(n);
        sales
            .map(|sale| {
                sale.updated = now;
                sale.id
            })
            .collect()
    }

    pub(crate) fn move_stock(&mut self, n: usize) -> Vec<uuid::Uuid> {
        let keys: Vec<_> = self.stock.cards.keys().copied().collect();
        let mut moved = vec![];
        for _ in 0..n.min(keys.len()) {
            self.created += 1;
            let which = roll(self.options.seed, "moved", self.created, keys.len() as u64) as usize;
            let key = keys[which];
            let on_hand = self.stock.cards[&key].on_hand;
            let by = Decimal::from(1 + roll(self.options.seed, "by", self.created, 6));
            let by = if on_hand > by && which.is_multiple_of(2) {
                -by
            } else {
                by
            };
            self.book_difference(key, by);
            moved.push(self.product(key.product).id);
        }
        moved
    }

    /// Receives a purchase, receives a transfer, or sends a new one.
    fn move_goods(&mut self, event: u64) {
        let done = match event % 3 {
            0 => self.receive_purchase(),
            1 => self.receive_transfer(),
            _ => false,
        };
        if done {
            return;
        }
        let free =
            self.stock.cards.iter().filter(|(key, card)| {
                key.batch == 0 && card.on_hand - card.allocated >= Decimal::TWO
            });
        let free: Vec<_> = free.map(|(key, _)| *key).collect();
        let which = roll(self.options.seed, "sent", event, free.len() as u64) as usize;
        if let Some(from) = free.get(which).copied() {
            let to = (from.at + 1) % 3;
            self.send_transfer(from, to, Decimal::TWO);
        }
    }

    fn touch_master(&mut self, event: u64) {
        let now = self.now();
        let seed = self.options.seed;
        if event.is_multiple_of(2) {
            let at = roll(seed, "customer edit", event, self.customers.len() as u64) as usize;
            if let Some(customer) = self.customers.get_mut(at) {
                customer.modified = now;
                customer.tier = 1 + (customer.tier % 3);
            }
        } else {
            let at = roll(seed, "product edit", event, self.products.len() as u64) as usize;
            if let Some(product) = self.products.get_mut(at) {
                product.modified = now;
                product.price += Decimal::new(5, 2);
                product.deprecated ^= event % 10 == 1;
            }
        }
    }

    /// Deletes the newest sale that is still a quote or a draft.
    fn drop_draft(&mut self) {
        let draft = self
            .live_sales()
            .rev()
            .find(|sale| sale.order.open() && !sale.voided)
            .map(|sale| sale.id);
        if let Some(id) = draft {
            self.delete_sale(id);
        }
    }

    pub(crate) fn delete_book_row(&mut self, path: &str, name: &str) -> bool {
        let path = path.to_ascii_lowercase();
        let Some(kind) = super::world::books::KINDS
            .iter()
            .find(|kind| kind.path == path)
        else {
            return false;
        };
        let rows = self.books.rows_mut(kind.path);
        let before = rows.len();
        rows.retain(|row| row.get(kind.name).and_then(|v| v.as_str()) != Some(name));
        rows.len() < before
    }
}

//! What an authorised order does to stock: allocation, kits assembled on the spot, backorders served later.

use super::*;

impl World {
    /// Allocates stock to an order that was just authorised. Kits that are short are assembled if all their components
    /// are there; what is still missing becomes a backorder.
    pub(crate) fn hold_stock(&mut self, at: u32) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let (id, location, lines) = (sale.id, sale.location, sale.lines.clone());
        let mut short = vec![Decimal::ZERO; lines.len()];
        for (nth, line) in lines.iter().enumerate() {
            if line.drop_ship || self.product(line.product).service {
                continue;
            }
            let mut missing =
                line.quantity - self.stock.allocate(line.product, location, line.quantity);
            if missing > Decimal::ZERO
                && self.product(line.product).auto_assembly()
                && self.assemble_for(line.product, missing, location, id)
            {
                missing -= self.stock.allocate(line.product, location, missing);
            }
            short[nth] = missing;
        }
        let any = short.iter().any(|missing| *missing > Decimal::ZERO);
        if let Some(sale) = self.sales[at as usize].as_mut() {
            for (line, short) in Arc::make_mut(&mut sale.lines).iter_mut().zip(short) {
                line.backorder = short;
            }
        }
        if any {
            self.backordered.insert(at)
        } else {
            self.backordered.remove(&at)
        };
    }

    /// Gives goods that have arrived to the orders that wait for them, oldest first.
    pub(crate) fn serve_backorders(&mut self, product: u32, warehouse: u16) {
        if !self.options.allocate_backorders {
            return;
        }
        let waiting: Vec<u32> = self.backordered.iter().copied().collect();
        for at in waiting {
            let Some(sale) = self.sales[at as usize].as_ref() else {
                continue;
            };
            let wants = |line: &Line| line.product == product && line.backorder > Decimal::ZERO;
            if sale.location != warehouse || !sale.lines.iter().any(wants) {
                continue;
            }
            let mut lines = sale.lines.clone();
            let mut any = false;
            for line in Arc::make_mut(&mut lines)
                .iter_mut()
                .filter(|line| line.product == product)
            {
                let got = self.stock.allocate(product, warehouse, line.backorder);
                line.backorder -= got;
                any |= got > Decimal::ZERO;
            }
            if !any {
                return;
            }
            if lines.iter().all(|line| line.backorder.is_zero()) {
                self.backordered.remove(&at);
            }
            let now = self.now();
            if let Some(sale) = self.sales[at as usize].as_mut() {
                sale.lines = lines;
                sale.updated = now;
            }
        }
    }

    /// Assembles at least `quantity` of a kit at a warehouse out of free components there, inner kits first.
    /// All or nothing: `false` leaves everything as it was.
    fn assemble_for(&mut self, kit: u32, quantity: Decimal, warehouse: u16, sale: Uuid) -> bool {
        let (mut steps, mut taken) = (vec![], BTreeMap::new());
        if !self.assembly_steps(kit, quantity, warehouse, 0, &mut taken, &mut steps) {
            return false;
        }
        for (kit, quantity) in steps {
            self.assemble_now(kit, quantity, warehouse, Some(sale));
        }
        true
    }

    fn assembly_steps(
        &self,
        kit: u32,
        quantity: Decimal,
        warehouse: u16,
        depth: usize,
        taken: &mut BTreeMap<u32, Decimal>,
        steps: &mut Vec<(u32, Decimal)>,
    ) -> bool {
        let Some(bom) = self.product(kit).bom.as_ref().filter(|bom| bom.auto) else {
            return false;
        };
        if depth >= NESTING_MAX {
            return false;
        }
        // Whole runs only: a BOM that makes ten makes ten.
        let made = (quantity / bom.makes).ceil() * bom.makes;
        for part in self.planned_for(kit, made) {
            if self.product(part.product).service {
                continue;
            }
            let used = taken.entry(part.product).or_default();
            let free = (self.stock.available(part.product, warehouse) - *used).max(Decimal::ZERO);
            let take = part.total.min(free);
            *used += take;
            let missing = part.total - take;
            if missing > Decimal::ZERO
                && !self.assembly_steps(part.product, missing, warehouse, depth + 1, taken, steps)
            {
                return false;
            }
        }
        steps.push((kit, made));
        true
    }

    /// Makes a completed assembly out of free components; the caller has seen that they are there.
    fn assemble_now(&mut self, kit: u32, quantity: Decimal, warehouse: u16, sale: Option<Uuid>) {
        let (id, today) = (self.new_id(), self.today());
        self.numbers.assembly += 1;
        let number = format!("FG-{:05}", self.numbers.assembly);
        let planned = self.planned_for(kit, quantity);
        let cause = Cause {
            task: id,
            kind: "Finished Goods",
            number: &number,
            date: today,
        };
        let mut used = vec![];
        for part in planned
            .iter()
            .filter(|part| !self.products[part.product as usize].service)
        {
            let takes = self.take_free(part.product, warehouse, part.total);
            for (key, quantity) in takes {
                let cost = self
                    .stock
                    .cards
                    .get(&key)
                    .map_or(Decimal::ZERO, |card| card.cost);
                self.stock.shift(key, -quantity, cost, &cause);
                used.push(Used {
                    product: part.product,
                    place: key.place,
                    batch: key.batch,
                    quantity,
                    cost: cost * quantity,
                });
            }
        }
        let cost: Decimal = used.iter().map(|u| u.cost).sum();
        let key = self.card_key(kit, warehouse, 0);
        self.stock
            .shift(key, quantity, (cost / quantity).round_dp(4), &cause);
        self.assemblies.push(Assembly {
            id,
            number,
            status: AssemblyStatus::Completed,
            product: kit,
            place: warehouse,
            quantity,
            wip_account: "721".into(),
            account: "720".into(),
            wip_date: Some(today),
            date: today,
            completed: Some(today),
            batch: 0,
            notes: "Assembled for a sale order".into(),
            sale,
            planned,
            used,
            written: Default::default(),
        });
    }

    /// Which cards of a warehouse give `quantity` free units; less if there are fewer.
    pub(crate) fn take_free(
        &self,
        product: u32,
        warehouse: u16,
        quantity: Decimal,
    ) -> Vec<(CardKey, Decimal)> {
        let mut left = quantity;
        let mut takes = vec![];
        for (key, card) in self.stock.cards_at(product, warehouse) {
            let take =
                left.min((card.on_hand - card.allocated.max(Decimal::ZERO)).max(Decimal::ZERO));
            if take > Decimal::ZERO {
                takes.push((*key, take));
                left -= take;
            }
        }
        takes
    }

    /// Sales whose goods have left what is on hand, by the stage that the options name.
    pub(crate) fn gone_fulfilments<'s>(
        &self,
        sale: &'s Sale,
    ) -> impl Iterator<Item = &'s crate::cin7::world::sale::Fulfilment> + use<'s> {
        let at_ship = self.options.on_hand_falls_at == crate::cin7::options::OnHandFalls::Ship;
        sale.live_fulfilments().filter(move |f| {
            if at_ship {
                f.ship == Status::Authorised
            } else {
                f.pick == Status::Authorised
            }
        })
    }
}

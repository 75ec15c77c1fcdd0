//! Picks: which units leave which place.

use super::*;

pub(in crate::cin7::write) fn pick(world: &mut World, write: &Write<'_>) -> Written {
    let task = write.body.required_id("TaskID")?;
    let (at, nth) = find(world, task)?;
    let sale = live(world, at)?;
    let old = fulfilment(world, at, nth)?;
    if sale.order != Status::Authorised {
        return Err(Refusal::bad(
            "Pick cannot be changed until the order is authorised",
        ));
    }
    if !old.pick.open() {
        return Err(Refusal::bad(format!(
            "Pick cannot be changed in status {}",
            old.pick.text()
        )));
    }
    if let Some(mode) = write.body.text("AutoPickMode") {
        return match mode.to_ascii_uppercase().as_str() {
            "AUTOPICK" => {
                let lines = choose(world, at)?;
                take(world, at, nth, lines)?;
                answer(world, write.path, task)
            }
            "NOPICK" => answer(world, write.path, task),
            other => Err(Refusal::bad(format!("'AutoPickMode' cannot be '{other}'."))),
        };
    }
    let status = status_of(write)?;
    let rows = write.body.rows("Lines")?;
    let mut lines = if write.verb == Verb::Post {
        old.picked.to_vec()
    } else {
        vec![]
    };
    // A draft that is authorised with lines is replaced by them: the two would count twice.
    if status == Status::Authorised && !rows.is_empty() {
        lines.clear();
    }
    for row in &rows {
        lines.push(picked_line(world, *row, true)?);
    }
    check_ordered(world, at, nth, &lines)?;
    if status == Status::Draft {
        alter(world, at, |sale| {
            let f = &mut sale.fulfilments[nth];
            (f.picked, f.pick) = (Arc::new(lines), Status::Draft);
        })?;
    } else {
        take(world, at, nth, lines)?;
    }
    answer(world, write.path, task)
}

/// A pick or pack line: product, place, batch, quantity.
pub(super) fn picked_line(world: &World, row: Fields<'_>, strict: bool) -> Answer<Picked> {
    let product = product(world, row)?;
    let p = world.product(product);
    let quantity = row.quantity("Quantity")?;
    let (id, name) = (row.id("LocationID")?, row.text("Location"));
    if id.is_none() && name.is_none() {
        return Err(Refusal::missing("Location"));
    }
    let found = world.find_place(id, name.as_deref());
    let place = found.ok_or_else(|| {
        let shown = name.unwrap_or_else(|| id.unwrap_or_default().to_string());
        Refusal::unknown_name(format!(
            "Location {shown} was not found in Locations reference book"
        ))
    })?;
    let batch = match row.text("BatchSN") {
        Some(name) => {
            let found = world.stock.find_batch(&name, row.date("ExpiryDate")?);
            found.ok_or_else(|| {
                Refusal::bad(format!(
                    "Batch {name} of product (SKU: {}) was not found",
                    p.sku
                ))
            })?
        }
        None if p.needs_batch() && strict => return Err(Refusal::missing("BatchSN")),
        None => 0,
    };
    let parcel = row.text("Box").map(Arc::from);
    Ok(Picked {
        product,
        place,
        batch,
        quantity,
        parcel,
    })
}

pub(super) fn by_product(lines: &[Picked]) -> BTreeMap<u32, Decimal> {
    let mut sums = BTreeMap::new();
    for line in lines {
        *sums.entry(line.product).or_default() += line.quantity;
    }
    sums
}

/// What a sale still has to send, by product: ordered, less every other authorised pick.
pub(super) fn still_due(world: &World, sale: &Sale) -> BTreeMap<u32, Decimal> {
    let mut due: BTreeMap<u32, Decimal> = BTreeMap::new();
    for line in sale
        .lines
        .iter()
        .filter(|l| !l.drop_ship && !world.product(l.product).service)
    {
        *due.entry(line.product).or_default() += line.quantity;
    }
    for (product, taken) in world.goods_picked(sale) {
        *due.entry(product).or_default() -= taken;
    }
    due
}

fn check_ordered(world: &World, at: u32, nth: usize, lines: &[Picked]) -> Answer<()> {
    let mut sale = live(world, at)?.clone();
    sale.fulfilments[nth].voided = true;
    let due = still_due(world, &sale);
    for (product, quantity) in by_product(lines) {
        let open = due.get(&product).copied().unwrap_or_default();
        if quantity > open {
            let sku = &world.product(product).sku;
            return Err(Refusal::bad(format!(
                "Picked quantity {quantity} of product (SKU: {sku}) exceeds the ordered quantity that is not picked yet, {open}"
            )));
        }
    }
    Ok(())
}

/// Chooses stock for everything still due: at the sale's warehouse, place by place.
pub(super) fn choose(world: &World, at: u32) -> Answer<Vec<Picked>> {
    let sale = live(world, at)?;
    let mut lines = vec![];
    let held = world.goods_held(sale);
    for (product, due) in still_due(world, sale) {
        let free = world.stock.available(product, sale.location)
            + held.get(&product).copied().unwrap_or_default();
        let mut left = due.min(free);
        for (key, card) in world.stock.cards_at(product, sale.location) {
            let take = left.min(card.on_hand);
            if take > Decimal::ZERO {
                left -= take;
                lines.push(Picked {
                    product,
                    place: key.place,
                    batch: key.batch,
                    quantity: take,
                    parcel: None,
                });
            }
        }
    }
    if lines.is_empty() {
        return Err(Refusal::bad("There is nothing in stock to pick"));
    }
    Ok(lines)
}

/// Authorises a pick: the goods must be there and not promised to others.
pub(super) fn take(world: &mut World, at: u32, nth: usize, lines: Vec<Picked>) -> Answer<()> {
    if lines.is_empty() {
        return Err(Refusal::bad("Should be at least one pick line."));
    }
    check_ordered(world, at, nth, &lines)?;
    let sale = live(world, at)?;
    let (id, number, home) = (sale.id, sale.number.clone(), sale.location);
    let held_before = world.goods_held(sale);
    let mut by_card: BTreeMap<_, Decimal> = BTreeMap::new();
    let mut by_warehouse: BTreeMap<(u32, u16), Decimal> = BTreeMap::new();
    for line in &lines {
        let key = world.card_key(line.product, line.place, line.batch);
        *by_card.entry(key).or_default() += line.quantity;
        *by_warehouse.entry((line.product, key.at)).or_default() += line.quantity;
    }
    let refuse = |product: u32, there: Decimal, wanted: Decimal| {
        let sku = &world.product(product).sku;
        Err(Refusal::bad(format!(
            "Available quantity for product (SKU: {sku}) is {there:.10}, cannot pick {wanted}"
        )))
    };
    for (key, wanted) in &by_card {
        let there = world
            .stock
            .cards
            .get(key)
            .map_or(Decimal::ZERO, |card| card.on_hand);
        if there < *wanted {
            return refuse(key.product, there, *wanted);
        }
    }
    for ((product, warehouse), wanted) in &by_warehouse {
        let own = held_before
            .get(product)
            .copied()
            .filter(|_| *warehouse == home)
            .unwrap_or_default();
        let there = world.stock.available(*product, *warehouse) + own;
        if there < *wanted {
            return refuse(*product, there, *wanted);
        }
    }
    alter(world, at, |sale| {
        let f = &mut sale.fulfilments[nth];
        (f.picked, f.pick) = (Arc::new(lines), Status::Authorised);
    })?;
    match world.options.on_hand_falls_at {
        OnHandFalls::Pick => world.leave(at, nth, &held_before, id, &number),
        OnHandFalls::Ship => world.hold_picked(at),
    }
    world.announce_sale(
        "Sale/PickAuthorised",
        at,
        json!({"TaskID": world.task_id(at, nth)}),
    );
    Ok(())
}

impl World {
    pub(super) fn task_id(&self, at: u32, nth: usize) -> Option<Uuid> {
        Some(self.sales[at as usize].as_ref()?.fulfilments.get(nth)?.task)
    }

    /// What has left is no longer waited for, wherever it came from.
    fn settle_backorders(&mut self, at: u32) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let mut open: BTreeMap<u32, Decimal> = BTreeMap::new();
        for line in sale.lines.iter() {
            *open.entry(line.product).or_default() += line.quantity;
        }
        for (product, gone) in self.goods_gone(sale) {
            *open.entry(product).or_default() -= gone;
        }
        let mut lines = sale.lines.clone();
        for line in Arc::make_mut(&mut lines)
            .iter_mut()
            .filter(|line| line.backorder > Decimal::ZERO)
        {
            let left = open.entry(line.product).or_default();
            line.backorder = line.backorder.min((*left).max(Decimal::ZERO));
            *left -= line.backorder;
        }
        if lines.iter().all(|line| line.backorder.is_zero()) {
            self.backordered.remove(&at);
        }
        if let Some(sale) = self.sales[at as usize].as_mut() {
            sale.lines = lines;
        }
    }

    /// Holds what was picked beyond what the order held, as far as it is free, for as long as it stays on hand.
    fn hold_picked(&mut self, at: u32) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let (location, mut lines) = (sale.location, sale.lines.clone());
        let held = self.goods_held(sale);
        let mut beyond = self.goods_picked(sale);
        for (product, gone) in self.goods_gone(sale) {
            *beyond.entry(product).or_default() -= gone;
        }
        for (product, picked) in beyond {
            let mut more = picked - held.get(&product).copied().unwrap_or_default();
            for line in Arc::make_mut(&mut lines)
                .iter_mut()
                .filter(|line| line.product == product)
            {
                let wanted = more.min(line.backorder).max(Decimal::ZERO);
                let got = self.stock.allocate(product, location, wanted);
                line.backorder -= got;
                more -= got;
            }
        }
        if lines.iter().all(|line| line.backorder.is_zero()) {
            self.backordered.remove(&at);
        }
        if let Some(sale) = self.sales[at as usize].as_mut() {
            sale.lines = lines;
        }
    }

    /// Takes the goods of a fulfilment off the shelves and releases what the sale held for them.
    pub(super) fn leave(
        &mut self,
        at: u32,
        nth: usize,
        held_before: &BTreeMap<u32, Decimal>,
        id: Uuid,
        number: &str,
    ) {
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let (home, picked) = (sale.location, sale.fulfilments[nth].picked.clone());
        self.settle_backorders(at);
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let held_after = self.goods_held(sale);
        for (product, before) in held_before {
            let after = held_after.get(product).copied().unwrap_or_default();
            if *before > after {
                self.stock.release(*product, home, *before - after);
            }
        }
        let cause = Cause {
            task: id,
            kind: "Sale",
            number,
            date: self.today(),
        };
        for line in picked.iter() {
            let named = self.card_key(line.product, line.place, line.batch);
            let others = self
                .stock
                .cards_at(line.product, named.at)
                .map(|(key, _)| *key)
                .filter(|key| *key != named);
            let cards: Vec<CardKey> = std::iter::once(named).chain(others).collect();
            let mut left = line.quantity;
            // Goods that stay on hand until they are shipped may meanwhile have gone from their place: others go instead.
            for key in cards {
                let there = self
                    .stock
                    .cards
                    .get(&key)
                    .map_or(Decimal::ZERO, |card| card.on_hand);
                let take = left.min(there.max(Decimal::ZERO));
                if take > Decimal::ZERO {
                    let cost = self.product(line.product).cost;
                    self.stock.shift(key, -take, cost, &cause);
                    left -= take;
                }
            }
        }
    }
}

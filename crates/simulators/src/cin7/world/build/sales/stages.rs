//! Fulfilments and invoices of sales that are further along.

use super::*;

impl Draft<'_> {
    pub(super) fn fulfil(&self, world: &World, plan: &Plan<'_>, sale: &mut Sale, stage: Stage) {
        let goods = sale
            .lines
            .iter()
            .filter(|l| !world.product(l.product).service)
            .count();
        let two = goods > 1
            && (stage == Stage::HalfShipped
                || (sale.kind == Kind::Advanced
                    && goods > 3
                    && plan.roll("two", self.n(), 2) == 0));
        // Copies of one invoice that leave the same warehouse share their loads.
        let mut known = self.loads.borrow_mut();
        let loads = known
            .entry((sale.location, two))
            .or_insert_with(|| self.load(world, sale, two))
            .clone();
        drop(known);
        for (nth, load) in loads.into_iter().enumerate() {
            let reached = match stage {
                Stage::HalfShipped if nth == 0 => Stage::Shipped,
                Stage::HalfShipped => Stage::Picking,
                stage => stage,
            };
            let task = match sale.kind {
                Kind::Advanced => id_of(&format!("fulfilment/{}/{}", self.name(), nth + 1)),
                _ => sale.id,
            };
            sale.fulfilments
                .push(self.fulfilment(sale, plan, task, nth as u32 + 1, load, reached));
        }
    }

    /// The goods of a sale as they lie, in one load or in two halves.
    fn load(&self, world: &World, sale: &Sale, two: bool) -> Vec<Arc<Vec<Picked>>> {
        let goods = sale
            .lines
            .iter()
            .filter(|l| !world.product(l.product).service);
        let goods: Vec<Picked> = goods
            .enumerate()
            .map(|(nth, line)| {
                let spot = usual_spot(world, line.product, sale.location);
                let parcel = &self.parcels[(nth / PARCEL_LINES).min(self.parcels.len() - 1)];
                Picked {
                    product: line.product,
                    place: spot.place,
                    batch: spot.batch,
                    quantity: line.quantity,
                    parcel: Some(parcel.clone()),
                }
            })
            .collect();
        match two {
            false => vec![Arc::new(goods)],
            true => goods
                .chunks(goods.len() / 2 + goods.len() % 2)
                .map(|half| Arc::new(half.to_vec()))
                .collect(),
        }
    }

    fn fulfilment(
        &self,
        sale: &Sale,
        plan: &Plan<'_>,
        task: uuid::Uuid,
        number: u32,
        load: Arc<Vec<Picked>>,
        stage: Stage,
    ) -> Fulfilment {
        let none = Arc::new(vec![]);
        let reach = |at: Stage| {
            if stage >= at {
                Status::Authorised
            } else {
                Status::NotAvailable
            }
        };
        let mut shipments = vec![];
        if stage >= Stage::Shipped {
            let carrier =
                &self.carriers[plan.roll("carrier", self.n(), self.carriers.len() as u64) as usize];
            let tracking = format!("MP{}{:02}GB", self.n(), number);
            let mut boxes: Vec<&str> = load.iter().filter_map(|p| p.parcel.as_deref()).collect();
            boxes.dedup();
            shipments.push(Shipment {
                id: id_of(&format!("shipment/{}/{number}", self.name())),
                date: sale
                    .order_date
                    .saturating_add(Span::new().days(1))
                    .min(today(plan)),
                carrier: carrier.clone(),
                boxes: match boxes[..] {
                    [_] => load[0].parcel.clone().unwrap_or_else(|| Arc::from("")),
                    _ => Arc::from(boxes.join(",")),
                },
                url: format!("https://track.example.com/{tracking}"),
                tracking,
                shipped: true,
            });
        }
        Fulfilment {
            task,
            number,
            linked_invoice: (stage >= Stage::Invoiced).then(|| format!("INV-{}", self.name())),
            pick: if stage == Stage::Picking {
                Status::Draft
            } else {
                reach(Stage::Picked)
            },
            picked: load.clone(),
            pack: reach(Stage::Packed),
            packed: if stage >= Stage::Packed { load } else { none },
            ship: reach(Stage::Shipped),
            shipments,
            require_by: sale.ship_by,
            notes: String::new(),
            address: None,
            voided: false,
        }
    }

    pub(super) fn bill(&self, plan: &Plan<'_>, sale: &mut Sale, stage: Stage) {
        let date = sale
            .order_date
            .saturating_add(Span::new().days(1))
            .min(today(plan));
        let total = totals(&sale.lines, &sale.charges).2;
        let task = match sale.kind {
            Kind::Advanced => id_of(&format!("invoice/{}", self.name())),
            _ => sale.id,
        };
        let paid = stage == Stage::Completed;
        let paid_on = date
            .saturating_add(Span::new().days(plan.roll("paid", self.n(), 30) as i64))
            .min(today(plan));
        let payment = || Payment {
            id: id_of(&format!("payment/{}", self.name())),
            reference: format!("BACS {}", self.n()),
            amount: total,
            date: paid_on,
            account: "090".into(),
            rate: Decimal::ONE,
            created: sale.updated,
        };
        sale.invoices.push(Invoice {
            task,
            number: format!("INV-{}", self.name()),
            status: if paid {
                Status::Paid
            } else {
                Status::Authorised
            },
            date,
            due: date.saturating_add(Span::new().days(30)),
            lines: sale.lines.clone(),
            charges: sale.charges.clone(),
            payments: if paid && !total.is_zero() {
                vec![payment()]
            } else {
                vec![]
            },
            linked_fulfilment: (sale.kind == Kind::Advanced).then_some(1),
            memo: String::new(),
            rate: Decimal::ONE,
        });
    }
}

//! A sale that goes on by itself: the automatic modes, and the next step of a person in the warehouse.

use super::*;

/// Fulfils a simple sale by itself, as far as `auto` says.
pub(in crate::cin7::write) fn run(world: &mut World, at: u32, auto: Auto) -> Answer<()> {
    let nth = open_task(world, at)?;
    let lines = choose(world, at)?;
    take(world, at, nth, lines)?;
    if auto >= Auto::Pack {
        pack_all(world, at, nth)?;
    }
    if auto >= Auto::Ship {
        let f = fulfilment(world, at, nth)?;
        let boxes = boxes(f)
            .iter()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
            .join(",");
        let shipment = Shipment {
            id: world.new_id(),
            date: world.today(),
            carrier: Arc::from(""),
            boxes: Arc::from(boxes),
            tracking: String::new(),
            url: String::new(),
            shipped: true,
        };
        set_ship(world, at, nth, vec![shipment], Status::Authorised, |_| {})?;
    }
    Ok(())
}

impl World {
    /// Takes an open sale one step further, as a person in the warehouse would. `false` if it has no step left.
    pub(crate) fn step(&mut self, at: u32) -> bool {
        let Ok(sale) = live(self, at) else {
            return false;
        };
        if sale.order != Status::Authorised {
            return false;
        }
        let open = sale
            .fulfilments
            .iter()
            .position(|f| !f.voided && f.ship != Status::Authorised);
        match open {
            None if sale.kind == Kind::Service
                || still_due(self, sale)
                    .values()
                    .all(|due| *due <= Decimal::ZERO) =>
            {
                crate::cin7::write::bill::step(self, at)
            }
            None => open_task(self, at).is_ok(),
            Some(nth) => {
                let f = &sale.fulfilments[nth];
                let (pick, pack) = (f.pick, f.pack);
                let shipped = |world: &mut World| {
                    let boxes = fulfilment(world, at, nth).map(boxes).unwrap_or_default();
                    let boxes = boxes
                        .iter()
                        .map(|b| b.to_string())
                        .collect::<Vec<_>>()
                        .join(",");
                    let id = world.new_id();
                    let tracking = format!("MP{}GB", id.simple().to_string()[..10].to_uppercase());
                    let url = format!("https://track.example.com/{tracking}");
                    let shipment = Shipment {
                        id,
                        date: world.today(),
                        carrier: Arc::from("DHL"),
                        boxes: Arc::from(boxes),
                        tracking,
                        url,
                        shipped: true,
                    };
                    set_ship(world, at, nth, vec![shipment], Status::Authorised, |_| {})
                };
                match (pick, pack) {
                    (Status::Authorised, Status::Authorised) => shipped(self).is_ok(),
                    (Status::Authorised, _) => pack_all(self, at, nth).is_ok(),
                    _ => choose(self, at)
                        .and_then(|lines| take(self, at, nth, lines))
                        .is_ok(),
                }
            }
        }
    }
}

//! I6: what a shipment takes and assembles is exactly what its lines need, level by level.

use std::collections::BTreeMap;

use super::Judge;

impl Judge<'_> {
    pub(super) fn kits(&mut self) {
        let mut wrong = Vec::new();
        for shipment in &self.plan.shipments {
            let order = self.orders[shipment.order.as_str()];
            let mut taken: BTreeMap<&str, i128> = BTreeMap::new();
            for take in &shipment.takes {
                let sku = self.nodes[take.node.as_str()].sku;
                *taken.entry(sku).or_default() += i128::from(take.qty);
            }
            let mut need: BTreeMap<&str, i128> = BTreeMap::new();
            for line in &shipment.lines {
                let known = order.lines.iter().find(|known| known.id == line.line);
                let sku = known.map_or("", |known| known.sku.as_str());
                *need.entry(sku).or_default() += i128::from(line.qty);
            }
            let mut made: BTreeMap<&str, i128> = BTreeMap::new();
            for (i, kit) in shipment.assemble.iter().enumerate() {
                let Some(bom) = self.boms.get(kit.sku.as_str()) else {
                    wrong.push(format!("{}: `{}` has no bill", shipment.order, kit.sku));
                    continue;
                };
                if kit.qty <= 0 || i128::from(kit.qty) % i128::from(bom.yields.max(1)) != 0 {
                    wrong.push(format!(
                        "{}: {} of {} is no run",
                        shipment.order, kit.qty, kit.sku
                    ));
                }
                let runs = i128::from(kit.qty) / i128::from(bom.yields.max(1));
                for line in &bom.lines {
                    *need.entry(&line.sku).or_default() += runs * i128::from(line.qty);
                    // Components are ready before their kit.
                    let later = shipment.assemble[i..]
                        .iter()
                        .any(|other| other.sku == line.sku);
                    if later {
                        wrong.push(format!(
                            "{}: {} before {}",
                            shipment.order, kit.sku, line.sku
                        ));
                    }
                }
                *made.entry(&kit.sku).or_default() += i128::from(kit.qty);
            }
            let skus: Vec<&str> = need
                .keys()
                .chain(taken.keys())
                .chain(made.keys())
                .copied()
                .collect();
            for sku in skus {
                let of = |map: &BTreeMap<&str, i128>| map.get(sku).copied().unwrap_or(0);
                let over = of(&taken) + of(&made) - of(&need);
                let yields = self.boms.get(sku).map_or(1, |bom| i128::from(bom.yields));
                let spare = if of(&made) > 0 { yields - 1 } else { 0 };
                if !(0..=spare).contains(&over) {
                    let sums = format!("{} taken, {} made", of(&taken), of(&made));
                    let name = format!("{} from {}", shipment.order, shipment.loc);
                    wrong.push(format!("{name}: {sku}: {sums}, {} needed", of(&need)));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.say("I6", text));
    }
}

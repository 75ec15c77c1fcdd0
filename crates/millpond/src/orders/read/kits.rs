//! Products that are no plain stock: services, and kits with their bills.

use std::collections::{BTreeSet, HashMap, HashSet};

use orders::input::{Bom, BomLine};
use rust_decimal::Decimal;
use store::Store;

use super::{parse, resource};
use crate::orders::{OrdersError, amount::Scales, ask::PlanAsk, cin7, cin7::Product};

/// Digits to which upstream rounds what a run consumes.
const CONSUMED_DIGITS: u32 = 4;

/// Services and kits of an instance.
pub(super) struct Products {
    services: HashSet<String>,
    kits: HashMap<String, Product>,
}

impl Products {
    /// Reads them from the mirror.
    pub async fn read(store: &Store, instance: &str) -> Result<Self, OrdersError> {
        let path = "$ ? (@.Type != \"Stock\" || @.BillOfMaterial == true)";
        let bodies = store
            .live_bodies(&resource("product")?, instance, None, path)
            .await?;
        let mut found = Self {
            services: HashSet::new(),
            kits: HashMap::new(),
        };
        for product in bodies
            .iter()
            .filter_map(|body| parse::<Product>(&body.body))
        {
            if !product.kind.is_empty() && product.kind != "Stock" {
                found.services.insert(product.id.to_lowercase());
                found.services.insert(product.sku);
            } else if product.has_bom {
                found.kits.insert(product.sku.clone(), product);
            }
        }
        Ok(found)
    }

    /// Whether nothing of it lies on any shelf.
    pub fn is_service(&self, product: &str, sku: &str) -> bool {
        let known = if product.is_empty() {
            sku
        } else {
            &product.to_lowercase()
        };
        self.services.contains(known)
    }

    /// `skus` and all that they are made of.
    pub fn closure<'a>(&self, skus: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut left: Vec<String> = skus.map(str::to_owned).collect();
        while let Some(sku) = left.pop() {
            if !found.insert(sku.clone()) {
                continue;
            }
            if let Some(kit) = self.kits.get(&sku).filter(|kit| is_auto(kit)) {
                left.extend(self.parts(kit).map(|(part, _)| part));
            }
        }
        found
    }

    /// The bills of the kits among `skus`; a part that is written too finely makes its bill useless, which the
    /// decision then says.
    pub fn bills(&self, skus: &BTreeSet<String>, scales: &mut Scales) -> Vec<Bom> {
        let kits: Vec<&Product> = skus
            .iter()
            .filter_map(|sku| self.kits.get(sku))
            .filter(|kit| is_auto(kit))
            .collect();
        for kit in &kits {
            // A quantity that no step can be found for is read as 0 below.
            let _ = scales.admit(&kit.sku, makes(kit));
            for (sku, qty) in self.parts(kit) {
                let _ = scales.admit(&sku, qty);
            }
        }
        let bill = |kit: &&Product| Bom {
            parent: kit.sku.clone(),
            yields: scales.steps(&kit.sku, makes(kit)).unwrap_or(0),
            auto: true,
            lines: self
                .parts(kit)
                .map(|(sku, qty)| BomLine {
                    qty: scales.steps(&sku, qty).unwrap_or(0),
                    sku,
                })
                .collect(),
        };
        kits.iter().map(bill).collect()
    }

    /// Id and name of the kits among `skus`, by SKU.
    pub fn names(&self, skus: &BTreeSet<String>) -> HashMap<String, (String, String)> {
        let kits = skus.iter().filter_map(|sku| self.kits.get(sku));
        let mut names = HashMap::new();
        for kit in kits {
            names.insert(kit.sku.clone(), (kit.id.clone(), kit.name.clone()));
            for part in &kit.parts {
                names
                    .entry(code(part))
                    .or_insert((part.product.clone(), String::new()));
            }
        }
        names
    }

    fn parts<'a>(&'a self, kit: &'a Product) -> impl Iterator<Item = (String, Decimal)> + 'a {
        kit.parts
            .iter()
            .filter(|part| !self.is_service(&part.product, &part.sku))
            .map(|part| {
                let share = part.wastage_percent.0 / Decimal::ONE_HUNDRED;
                let qty = part.quantity.0 * (Decimal::ONE + share) + part.wastage.0;
                (code(part), qty.round_dp(CONSUMED_DIGITS))
            })
    }
}

/// A part without a code still has to be told from the others.
fn code(part: &cin7::Part) -> String {
    if part.sku.is_empty() {
        format!("product {}", part.product)
    } else {
        part.sku.clone()
    }
}

/// Whether plans may assemble it: kits under batch or serial numbers need a number that nobody can make up.
fn is_auto(kit: &Product) -> bool {
    kit.auto_assembly && matches!(kit.costing.as_str(), "" | "FIFO")
}

fn makes(kit: &Product) -> Decimal {
    if kit.makes.0.is_zero() {
        Decimal::ONE
    } else {
        kit.makes.0
    }
}

/// The accounts of the newest mirrored assembly, for those that the ask does not name.
pub(super) async fn accounts(
    store: &Store,
    instance: &str,
    ask: &PlanAsk,
) -> Result<Option<(String, String)>, OrdersError> {
    let path = "$ ? (@.WIPAccount != \"\" && @.Account != \"\")";
    let bodies = store
        .live_bodies(&resource("assembly")?, instance, None, path)
        .await?;
    let newest = bodies
        .iter()
        .filter_map(|body| parse::<cin7::Assembly>(&body.body))
        .max_by_key(|assembly| (assembly.status == "COMPLETED", assembly.task.clone()));
    Ok(newest.map(|found| {
        let wip = ask.wip_account.clone().unwrap_or(found.wip_account);
        (wip, ask.finished_account.clone().unwrap_or(found.account))
    }))
}

//! Availability as upstream says it now, read as cheaply as can be and believed for a short time only.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::super::{
    OrdersError, cin7::Availability, documents::availability_calls, upstream::Door,
};

/// What was read of one location.
#[derive(Default)]
struct Place {
    rows: HashMap<String, Availability>,
    read_at: HashMap<String, Instant>,
}

/// Rows of availability that this apply has read itself.
pub(crate) struct FreshStock {
    ttl: Duration,
    sizes: BTreeMap<String, usize>,
    places: HashMap<String, Place>,
}

impl FreshStock {
    pub fn new(ttl: Duration, sizes: BTreeMap<String, usize>) -> Self {
        Self {
            ttl,
            sizes,
            places: HashMap::new(),
        }
    }

    /// Sees to it that these products (SKU, id) are known at `loc` as of less than the time to live ago.
    pub async fn ensure(
        &mut self,
        door: &Door<'_>,
        loc: &str,
        products: &BTreeSet<(String, String)>,
    ) -> Result<(), OrdersError> {
        let place = self.places.entry(loc.to_owned()).or_default();
        let is_old = |sku: &str| {
            place
                .read_at
                .get(sku)
                .is_none_or(|at| at.elapsed() > self.ttl)
        };
        let old: Vec<&(String, String)> = products.iter().filter(|(sku, _)| is_old(sku)).collect();
        if old.is_empty() {
            return Ok(());
        }
        let size = self.sizes.get(loc).copied().unwrap_or(0);
        // A product whose id nobody knows can only be found by listing the location.
        let one_by_one = availability_calls(old.len(), size) == old.len()
            && old.iter().all(|(_, id)| !id.is_empty());
        if one_by_one {
            for (sku, id) in old {
                let at = Instant::now();
                let rows = door.availability("ID", id).await?;
                place.rows.retain(|_, row| row.sku != *sku);
                place
                    .rows
                    .extend(rows.into_iter().filter(|(_, row)| row.location == loc));
                place.read_at.insert(sku.clone(), at);
            }
        } else {
            let at = Instant::now();
            let rows = door.availability("Location", loc).await?;
            place.rows = rows
                .into_iter()
                .filter(|(_, row)| row.location == loc)
                .collect();
            place.read_at.clear();
            let seen = place.rows.values().map(|row| row.sku.clone());
            place.read_at.extend(
                seen.chain(old.iter().map(|(sku, _)| sku.clone()))
                    .map(|sku| (sku, at)),
            );
        }
        Ok(())
    }

    /// What is known of a location.
    pub fn rows(&self, loc: &str) -> Vec<(String, Availability)> {
        let place = self.places.get(loc);
        let rows = place.map(|place| {
            place
                .rows
                .iter()
                .map(|(id, row)| (id.clone(), row.clone()))
                .collect()
        });
        rows.unwrap_or_default()
    }

    /// Forgets products whose stock was just written, wherever they lie: a pick at one location can change what
    /// upstream holds at another.
    pub fn forget(&mut self, products: &BTreeSet<(String, String)>) {
        for place in self.places.values_mut() {
            for (sku, _) in products {
                place.read_at.remove(sku);
            }
        }
    }
}

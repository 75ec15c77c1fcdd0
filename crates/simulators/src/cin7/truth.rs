//! What a complete and correct mirror would hold now: the oracle of tests.

use super::json::J;
use super::query::{Cut, Query};
use super::read;
use super::routes;
use super::server::Service;
use serde_json::Value;
use std::sync::Arc;

/// The documents of one account.
#[derive(Clone, Debug)]
pub struct Truth {
    service: Arc<Service>,
    account: usize,
}

/// Details that are fetched one by one: their path, the list that names them, the list's id, and the parameter of the call.
const DETAILS: &[(&str, &str, &str, &str)] = &[
    ("sale", "salelist", "SaleID", "ID"),
    ("sale/quote", "salelist", "SaleID", "SaleID"),
    ("sale/order", "salelist", "SaleID", "SaleID"),
    ("sale/fulfilment", "salelist", "SaleID", "SaleID"),
    ("sale/invoice", "salelist", "SaleID", "SaleID"),
    ("sale/creditnote", "salelist", "SaleID", "SaleID"),
    ("sale/payment", "salelist", "SaleID", "SaleID"),
    ("advanced-purchase", "purchaselist", "ID", "ID"),
    ("purchase", "purchaselist", "ID", "ID"),
    ("stocktransfer", "stocktransferlist", "TaskID", "TaskID"),
    ("stockadjustment", "stockadjustmentlist", "TaskID", "TaskID"),
    ("stocktake", "stocktakelist", "TaskID", "TaskID"),
    ("finishedgoods", "finishedgoodslist", "TaskID", "TaskID"),
    ("disassembly", "disassemblylist", "TaskID", "TaskID"),
    (
        "inventorywriteoff",
        "inventorywriteofflist",
        "TaskID",
        "TaskID",
    ),
    (
        "production/order",
        "production/orderlist",
        "ProductionOrderID",
        "ProductionOrderID",
    ),
    ("production/productionbom", "product", "ID", "ProductID"),
];

/// Members that identify a row, in the order they are looked for.
const IDS: [&str; 9] = [
    "SaleID",
    "TaskID",
    "ID",
    "CarrierID",
    "Code",
    "AccountID",
    "ProductionOrderID",
    "FixedAssetTypeID",
    "WorkCenterID",
];

impl Truth {
    pub(crate) fn new(service: Arc<Service>, account: usize) -> Truth {
        Truth { service, account }
    }

    /// Every document of a resource with its id, in the order of the list. A resource is a path below the base: a list
    /// (`saleList`, `product`, `ref/productavailability`) or a detail (`sale`, `stockTransfer`). Rows of availability have
    /// no id of their own; theirs is `ID|Location|Bin|Batch|ExpiryDate` with empty parts for null.
    ///
    /// # Panics
    ///
    /// When there is no such resource: a mistake in the test.
    pub fn documents(&self, resource: &str) -> Vec<(String, Value)> {
        self.documents_with(resource, &[])
    }

    /// As [`Truth::documents`], asked with parameters such as `("IncludeDeprecated", "true")`.
    ///
    /// # Panics
    ///
    /// When there is no such resource.
    pub fn documents_with(&self, resource: &str, params: &[(&str, &str)]) -> Vec<(String, Value)> {
        self.rendered(resource, params, None)
    }

    fn rendered(
        &self,
        resource: &str,
        params: &[(&str, &str)],
        only: Option<&str>,
    ) -> Vec<(String, Value)> {
        match documents(&self.service, self.account, resource, params, only) {
            Some(documents) => documents,
            None => panic!("the simulator has no resource `{resource}`"),
        }
    }

    /// One document, or `None` if it does not exist.
    pub fn document(&self, resource: &str, id: &str) -> Option<Value> {
        let found = self.rendered(resource, &[], Some(id)).into_iter().next();
        found.map(|(_, document)| document)
    }

    /// The ids of a resource, in the order of the list.
    pub fn ids(&self, resource: &str) -> Vec<String> {
        self.documents(resource)
            .into_iter()
            .map(|(id, _)| id)
            .collect()
    }
}

/// `None` when there is no such resource. With `only`, nothing but the document of that id is rendered: all sales of
/// a large company together do not fit into memory.
pub(crate) fn documents(
    service: &Service,
    account: usize,
    resource: &str,
    params: &[(&str, &str)],
    only: Option<&str>,
) -> Option<Vec<(String, Value)>> {
    let wanted = |id: &str| only.is_none_or(|only| id.eq_ignore_ascii_case(only));
    let path = resource.trim_matches('/').to_ascii_lowercase();
    let path = routes::canonical(&path);
    let world = service.read(account);
    let cut = Cut {
        everything: true,
        since_exclusive: service.options.since_exclusive,
        ..Cut::default()
    };
    let owned = |extra: Option<(&str, &str)>| {
        let all = params.iter().copied().chain(extra);
        Query::new(
            all.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            cut,
        )
    };
    if let Some((_, list, key, param)) = DETAILS.iter().find(|(detail, ..)| *detail == path) {
        let (list, detail) = (routes::find(list)?, routes::find(path)?);
        let listing = read::get(&world, list, &Query::new(vec![], cut)).ok()?;
        let ids = rows(&listing)
            .iter()
            .filter_map(|row| text(row.get(key)?))
            .filter(|id| wanted(id))
            .collect::<Vec<_>>();
        let found = ids.into_iter().filter_map(|id| {
            let document = read::get(&world, detail, &owned(Some((param, &id)))).ok()?;
            let empty_bom = path == "production/productionbom" && rows(&document).is_empty();
            (!empty_bom).then(|| (id, document.value()))
        });
        return Some(found.collect());
    }
    let route = routes::find(path)?;
    let listing = read::get(&world, route, &owned(None)).ok()?;
    let all = match rows(&listing) {
        [] if matches!(listing, J::Obj(_)) && !listing_has_list(&listing) => {
            return Some(if wanted(path) {
                vec![(path.into(), listing.value())]
            } else {
                Vec::new()
            });
        }
        all => all,
    };
    Some(
        all.iter()
            .map(|row| (id_of(path, row), row))
            .filter(|(id, _)| wanted(id))
            .map(|(id, row)| (id, row.value()))
            .collect(),
    )
}

fn listing_has_list(listing: &J<'_>) -> bool {
    matches!(listing, J::Obj(fields) if fields.iter().any(|(_, value)| matches!(value, J::Arr(_))) && fields.len() <= 3)
}

/// The rows of an envelope, or of a bare array.
fn rows<'l, 'a>(listing: &'l J<'a>) -> &'l [J<'a>] {
    let list = match listing {
        J::Arr(rows) => return rows,
        J::Obj(fields) if fields.len() <= 3 => fields.iter().rev().map(|(_, value)| value),
        _ => return &[],
    };
    list.filter_map(|value| {
        if let J::Arr(rows) = value {
            Some(rows.as_slice())
        } else {
            None
        }
    })
    .next()
    .unwrap_or(&[])
}

fn text(value: &J<'_>) -> Option<String> {
    match value.value() {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn id_of(path: &str, row: &J<'_>) -> String {
    let part = |key: &str| row.get(key).and_then(text).unwrap_or_default();
    if path == "ref/productavailability" {
        return ["ID", "Location", "Bin", "Batch", "ExpiryDate"]
            .map(part)
            .join("|");
    }
    let document;
    match row {
        J::Val(value) => {
            document = IDS
                .iter()
                .find_map(|key| value[*key].as_str().map(str::to_owned));
            document.unwrap_or_default()
        }
        _ => IDS
            .iter()
            .map(|key| part(key))
            .find(|id| !id.is_empty())
            .unwrap_or_default(),
    }
}

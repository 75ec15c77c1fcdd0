//! `GET`: which document or list a path stands for.

mod books;
mod goods;
mod sales;
mod stock;

use super::json::{J, obj};
use super::query::Query;
use super::reply::{Answer, Refusal};
use super::routes::{Empty, Route};
use super::world::World;

pub(crate) use stock::part as purchase_part;

/// Answers a `GET` of a known route.
pub(crate) fn get<'a>(world: &'a World, route: &'static Route, query: &Query) -> Answer<J<'a>> {
    let readers = [sales::get, goods::get, stock::get, books::get];
    for reader in readers {
        if let Some(answer) = reader(world, route.path, query) {
            return answer;
        }
    }
    match route.empty {
        Empty::List(key) => query.page(key, std::iter::empty::<J<'a>>(), |row| row),
        Empty::PageOnly(key) => Ok(J::Obj(vec![("Page", J::Int(1)), (key, J::Arr(vec![]))])),
        Empty::Bare(key) => Ok(J::Obj(vec![(key, J::Arr(vec![]))])),
        Empty::Array => Ok(J::Arr(vec![])),
        Empty::Document => Err(Refusal::bad("Document not found")),
    }
}

/// `GET me`.
fn me(world: &World) -> J<'_> {
    obj! {
        "Company": &world.account.name,
        "Currency": world.currency(),
        "TimeZone": "Europe/London",
        "DefaultWeightUnits": "g",
        "DefaultDimensionsUnits": "cm",
        "LockDate": J::Null,
        "OpeningBalanceDate": J::Null,
        "TaxCalculationMethod": "Exclusive",
        "DefaultSaleTaxRuleId": super::world::id_of("tax/20% (VAT on Income)"),
        "DefaultSaleTaxRuleName": "20% (VAT on Income)",
        "MaximumDecimalPlacesInQuantity": 4_i64,
        "ApplyCustomerDiscountsAfterOtherDiscounts": false,
        "DiscountRule": "",
        "AutomaticallyApplyDiscounts": false,
        "RoundingTable": J::Arr(vec![]),
    }
}

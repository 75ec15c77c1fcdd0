//! Which records a path means.

use super::kinds::{Kind, kinds};

/// What a path asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// A listing, below a parent if the kind has one.
    All(&'static Kind, Option<i64>),
    /// How many a listing has.
    Count(&'static Kind, Option<i64>),
    /// A listing whose conditions stand in the body.
    Search(&'static Kind),
    /// One record.
    One(&'static Kind, Option<i64>, i64),
    /// The forecast of an opportunity.
    Forecast(i64),
    /// `forecast/copy/{id}`.
    ForecastCopy(i64, i64),
    /// `quantityOnHand` of an item, by id or identifier.
    OnHand,
    /// What lies in a bin.
    InBin(i64),
    /// Contacts below a company, which only some servers have.
    CompanyContacts(i64),
    /// `procurement/products/{id}/detach`.
    Detach(i64),
    SystemInfo,
    AuditTrail,
}

/// Finds the place of `path`, which stands below `apis/3.0` and has no slash at its ends.
pub(crate) fn find(path: &str) -> Option<Place> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    special(&parts).or_else(|| {
        let mut kept = kinds().iter().filter(|kind| !kind.embedded);
        kept.find_map(|kind| matched(kind, &parts))
    })
}

fn special(parts: &[&str]) -> Option<Place> {
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let id = |text: &str| text.parse::<i64>().ok();
    Some(match lower.as_slice() {
        ["system", "info"] => Place::SystemInfo,
        ["system", "audittrail"] => Place::AuditTrail,
        ["sales", "opportunities", opportunity, "forecast"] => Place::Forecast(id(opportunity)?),
        [
            "sales",
            "opportunities",
            opportunity,
            "forecast",
            "copy",
            item,
        ] => Place::ForecastCopy(id(opportunity)?, id(item)?),
        ["procurement", "catalog", _, "quantityonhand"] => Place::OnHand,
        ["procurement", "products", product, "detach"] => Place::Detach(id(product)?),
        ["procurement", "warehousebins", bin, "inventoryonhand"] => Place::InBin(id(bin)?),
        ["company", "companies", company, "contacts"] => Place::CompanyContacts(id(company)?),
        _ => return None,
    })
}

fn matched(kind: &'static Kind, parts: &[&str]) -> Option<Place> {
    let mut pattern = kind.path.split('/');
    let mut parts = parts.iter();
    let mut parent = None;
    for expected in &mut pattern {
        let part = parts.next()?;
        if expected.starts_with('{') {
            parent = Some(part.parse::<i64>().ok()?);
        } else if !expected.eq_ignore_ascii_case(part) {
            return None;
        }
    }
    let rest: Vec<&&str> = parts.collect();
    match rest.as_slice() {
        [] => Some(Place::All(kind, parent)),
        [last] if last.eq_ignore_ascii_case("count") => Some(Place::Count(kind, parent)),
        [last] if kind.search && last.eq_ignore_ascii_case("search") => Some(Place::Search(kind)),
        [last] => last.parse().ok().map(|id| Place::One(kind, parent, id)),
        _ => None,
    }
}

/// The parts of a path to an item's `quantityOnHand`.
pub(crate) fn item_of(path: &str) -> &str {
    path.split('/')
        .filter(|part| !part.is_empty())
        .nth(2)
        .unwrap_or_default()
}

//! Reading reference books, settings, ledger transactions and papers.

use crate::cin7::json::{J, obj};
use crate::cin7::query::Query;
use crate::cin7::reply::{Answer, Refusal};
use crate::cin7::world::books::{BookKind, KINDS, TIERS};
use crate::cin7::world::{World, id_of};
use serde_json::{Map, Value};

pub(super) fn get<'a>(world: &'a World, path: &str, query: &Query) -> Option<Answer<J<'a>>> {
    if let Some(kind) = KINDS.iter().find(|kind| kind.path == path) {
        return Some(book(world, kind, query));
    }
    Some(match path {
        "me" => Ok(super::me(world)),
        "ref/pricetier" => {
            let rows = TIERS.iter().enumerate();
            let rows = rows.map(|(at, name)| obj! { "Code": at + 1, "Name": *name });
            Ok(J::Obj(vec![("PriceTiers", J::Arr(rows.collect()))]))
        }
        "transactions" => transactions(world, query),
        "journal" => papers(world, query, "journal", "Journals"),
        "inventorywriteofflist" => papers(world, query, "inventorywriteoff", "InventoryWriteOffs"),
        "inventorywriteoff" => paper(world, query, "inventorywriteoff", "TaskID"),
        "moneytasklist" => papers(world, query, "moneyoperation", "MoneyTasks"),
        "moneyoperation" => paper(world, query, "moneyoperation", "TaskID"),
        "banktransfer" => paper(world, query, "banktransfer", "TaskID"),
        "production/orderlist" => production_orders(world, query),
        "production/order" => paper_at(world, query, "production/orderlist", "ProductionOrderID")
            .map(|order| obj! { "ProductionOrders": vec![J::Val(order)] }),
        "production/order/run" => paper_at(world, query, "production/orderlist", "ProductionOrderID")
            .map(|order| obj! { "ProductionOrderID": &order["ProductionOrderID"], "Runs": J::Arr(vec![]) }),
        "production/productionbom" => production_bom(world, query),
        "production/workcenters" => papers(world, query, "production/workcenters", "WorkCenters"),
        "production/factorycalendar" => {
            let year = query.get("Year").and_then(|y| y.parse::<i64>().ok());
            let year = year.unwrap_or_else(|| world.today().year().into());
            Ok(obj! { "Year": year, "WorkingDays": J::Arr(vec![]), "Holidays": J::Arr(vec![]) })
        }
        "reference/shipzonesenabled" => {
            let stored = world.papers.get("reference/shipzonesenabled").and_then(|p| p.first());
            Ok(stored.map_or_else(|| obj! { "ShipZonesEnabled": false }, J::Val))
        }
        "webhooks" => Ok(world.hooks.document()),
        _ => return None,
    })
}

fn book<'a>(world: &'a World, kind: &'static BookKind, query: &Query) -> Answer<J<'a>> {
    let rows = world.books.rows(kind.path);
    let text = |row: &Map<String, Value>, key: &str| match row.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    // An account that is asked for by its code must exist, unlike everywhere else.
    if let ("ref/account", Some(code)) = (kind.path, query.get("Code"))
        && !rows.iter().any(|row| text(row, "Code") == code)
    {
        return Err(Refusal::bad("Account with specified ID not found"));
    }
    const FILTERS: [&str; 13] = [
        "ID",
        "Code",
        "CarrierID",
        "Type",
        "Status",
        "Method",
        "IsActive",
        "IsDefault",
        "IsTaxForSale",
        "IsTaxForPurchase",
        "Account",
        "Bank",
        "DefaultForType",
    ];
    let passes = |row: &&Map<String, Value>| {
        let exact = FILTERS
            .iter()
            .all(|name| !row.contains_key(*name) || query.matches(name, &text(row, name)));
        exact
            && query
                .get("ID")
                .is_none_or(|id| text(row, kind.id).eq_ignore_ascii_case(id))
            && query.starts("Name", &text(row, kind.name))
            && query.starts("Description", &text(row, "Description"))
    };
    let (total, page, rows) = query.rows(rows.iter().filter(passes), |row| {
        J::Obj(
            row.iter()
                .map(|(key, value)| (key.as_str(), J::Val(value)))
                .collect(),
        )
    })?;
    if kind.path == "reference/deals" {
        return Ok(J::Obj(vec![(kind.list, J::Arr(rows))]));
    }
    Ok(J::Obj(vec![
        ("Total", total.into()),
        ("Page", page.into()),
        (kind.list, J::Arr(rows)),
    ]))
}

fn papers<'a>(world: &'a World, query: &Query, path: &str, key: &'static str) -> Answer<J<'a>> {
    let all = world
        .papers
        .get(path)
        .into_iter()
        .flatten()
        .filter(|paper| {
            let status = paper["Status"].as_str().unwrap_or_default();
            let words = paper
                .as_object()
                .into_iter()
                .flat_map(|fields| fields.values().filter_map(Value::as_str));
            query.matches("Status", status)
                && query.found_in(words)
                && query.get("Name").is_none_or(|_| {
                    query.starts("Name", paper["Name"].as_str().unwrap_or_default())
                })
        });
    query.page(key, all, J::Val)
}

fn paper_at<'a>(world: &'a World, query: &Query, path: &str, key: &str) -> Answer<&'a Value> {
    let id = query.required_id(key)?.to_string();
    let all = world.papers.get(path).into_iter().flatten();
    let found = all.into_iter().find(|paper| {
        paper[key]
            .as_str()
            .is_some_and(|text| text.eq_ignore_ascii_case(&id))
    });
    found.ok_or_else(|| Refusal::bad("Task not found"))
}

fn paper<'a>(world: &'a World, query: &Query, path: &str, key: &str) -> Answer<J<'a>> {
    paper_at(world, query, path, key).map(J::Val)
}

/// The list only, every row with the total in it.
fn production_orders<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let all: Vec<&Value> = world
        .papers
        .get("production/orderlist")
        .into_iter()
        .flatten()
        .collect();
    let passes = |paper: &&&Value| {
        let status = paper["OrderStatus"].as_str().unwrap_or_default();
        let wanted = match query
            .get("Status")
            .map(|s| s.to_ascii_lowercase())
            .as_deref()
        {
            None => true,
            Some("allbutvoided") => status != "VOIDED",
            Some("inprogress") => status == "IN PROGRESS",
            Some(wanted) => status.eq_ignore_ascii_case(wanted),
        };
        let words = [
            &paper["OrderNumber"],
            &paper["ProductName"],
            &paper["ProductSKU"],
        ];
        wanted && query.found_in(words.into_iter().filter_map(|v| v.as_str()))
    };
    let count = all.iter().filter(passes).count();
    let (_, _, rows) = query.rows(all.iter().filter(passes), |paper| {
        let fields = paper.as_object().into_iter().flatten();
        let mut row = J::Obj(
            fields
                .map(|(key, value)| (key.as_str(), J::Val(value)))
                .collect(),
        );
        row.set("TotalCount", count.into());
        row
    })?;
    Ok(J::Obj(vec![("ProductionOrderListItems", J::Arr(rows))]))
}

fn production_bom<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let key = if query.get("ProductID").is_some() {
        "ProductID"
    } else {
        "ProductFamilyID"
    };
    let id = query
        .id(key)?
        .ok_or_else(|| Refusal::missing("ProductID"))?;
    let found = world
        .papers_where("production/productionbom", key, id)
        .pop();
    Ok(found.unwrap_or_else(|| J::Obj(vec![(key, J::Id(id)), ("ProductionBOMs", J::Arr(vec![]))])))
}

/// The ledger by effective date: one entry per authorised invoice, newest last.
fn transactions<'a>(world: &'a World, query: &Query) -> Answer<J<'a>> {
    let (from, to) = (query.date("FromDate")?, query.date("ToDate")?);
    let booked = world
        .live_sales()
        .filter(|sale| !sale.voided)
        .flat_map(|sale| sale.invoices.iter());
    let rows = booked.filter(|i| {
        i.status > crate::cin7::world::sale::Status::Draft
            && i.status != crate::cin7::world::sale::Status::Voided
            && from.is_none_or(|from| i.date >= from)
            && to.is_none_or(|to| i.date <= to)
            && query
                .get("Account")
                .is_none_or(|code| code == "610" || code == "200")
    });
    query.page("Transactions", rows, |invoice| {
        obj! {
            "TaskID": invoice.task,
            "DebitAccountCode": "610",
            "CreditAccountCode": "200",
            "Amount": invoice.total(),
            "EffectiveDate": invoice.date,
            "Reference": &invoice.number,
            "Transaction": id_of(&format!("transaction/{}", invoice.number)),
            "Type": "Sale",
        }
    })
}

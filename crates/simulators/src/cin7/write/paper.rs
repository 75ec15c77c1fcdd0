//! Documents that nothing else depends on: stored as they were sent, with an id.

use super::{Verb, Write, Written};
use crate::cin7::json::J;
use crate::cin7::reply::Refusal;
use crate::cin7::world::World;
use serde_json::{Value, json};
use uuid::Uuid;

/// Where a document is kept, and the member that identifies it.
fn shelf(path: &'static str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "journal" | "inventorywriteoff" | "moneyoperation" | "banktransfer" => (path, "TaskID"),
        "product/attachments" | "productfamily/attachments" => (path, "ID"),
        "ref/customer/templates" => (path, "TemplateId"),
        "productfamily" => (path, "ID"),
        "product/markupprices" => (path, "ProductID"),
        "custom-prices" => (path, "ProductID"),
        "product-suppliers" => (path, "ProductID"),
        "production/workcenters" => (path, "WorkCenterID"),
        "production/resource" => (path, "ResourceID"),
        "production/suspendreason" => (path, "ID"),
        "production/factorycalendar" | "reference/shipzonesenabled" => (path, "Year"),
        "production/productionbom" => (path, "ProductID"),
        "production/order" => ("production/orderlist", "ProductionOrderID"),
        _ => return None,
    })
}

pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    let Some((path, key)) = shelf(write.path) else {
        return advance_production(world, write);
    };
    let sent = |key: &str| {
        write
            .query
            .get(key)
            .map(str::to_owned)
            .or_else(|| write.body.text(key))
    };
    let id = sent(key)
        .or_else(|| sent("ID"))
        .filter(|id| Uuid::parse_str(id).map_or(true, |id| !id.is_nil()));
    let fresh = world.new_id();
    let papers = world.papers.entry(path).or_default();
    let same = |paper: &Value, id: &str| {
        paper[key]
            .as_str()
            .is_some_and(|have| have.eq_ignore_ascii_case(id))
    };
    let customer = sent("CustomerID");
    let hit = id.as_deref().and_then(|id| {
        // A customer's price is one of many of its product.
        papers.iter().position(|paper| {
            same(paper, id)
                && customer
                    .as_deref()
                    .is_none_or(|c| paper["CustomerID"] == c || paper["CustomerID"].is_null())
        })
    });
    match write.verb {
        Verb::Delete => {
            let at = hit.ok_or_else(|| Refusal::bad("Task not found"))?;
            let voided = path != "custom-prices" && papers[at].get("Status").is_some();
            if voided {
                papers[at]["Status"] = json!(if write.query.flag("Void") {
                    "VOIDED"
                } else {
                    "DRAFT"
                });
                return Ok(J::Val(&papers[at]).bytes());
            }
            papers.remove(at);
            Ok(br#"{"Success":true}"#.to_vec())
        }
        _ => {
            let single = matches!(key, "Year" | "ProductID");
            if write.verb == Verb::Put && hit.is_none() && !single {
                return Err(Refusal::bad("Task not found"));
            }
            let at = hit.unwrap_or_else(|| {
                let id = match single {
                    true => id.clone().unwrap_or_default(),
                    false => fresh.to_string(),
                };
                papers.push(json!({ key: id }));
                papers.len() - 1
            });
            for (name, value) in write
                .body
                .0
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case(key))
            {
                papers[at][name.as_str()] = value.clone();
            }
            Ok(J::Val(&papers[at]).bytes())
        }
    }
}

/// Production orders move by verbs of their own.
fn advance_production(world: &mut World, write: &Write<'_>) -> Written {
    let (status, order_status) = match write.path {
        "production/order/authorise" => ("AUTHORIZED", "PLANNED"),
        "production/order/release" => ("RELEASED", "RELEASED"),
        "production/order/undo" => ("DRAFT", "DRAFT"),
        "production/order/void" => ("VOIDED", "VOIDED"),
        "production/order/run/complete" => ("RELEASED", "COMPLETED"),
        path if path.starts_with("production/order/run") => ("RELEASED", "IN PROGRESS"),
        _ => {
            return Err(Refusal::bad(
                "This document cannot be written on an account without its module",
            ));
        }
    };
    let id = write.body.required_id("ProductionOrderID")?.to_string();
    let orders = world.papers.entry("production/orderlist").or_default();
    let order = orders
        .iter_mut()
        .find(|order| order["ProductionOrderID"] == id.as_str());
    let order = order.ok_or_else(|| Refusal::bad("Production order not found"))?;
    order["Status"] = json!(status);
    order["OrderStatus"] = json!(order_status);
    Ok(J::Val(order).bytes())
}

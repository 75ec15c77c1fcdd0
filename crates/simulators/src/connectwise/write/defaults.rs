//! What the service fills in when a record is created or replaced without it.

use crate::connectwise::kinds::{Kind, Ty, kind};
use crate::connectwise::render::stamp;
use crate::connectwise::seed;
use crate::connectwise::world::{Members, World};
use serde_json::{Value, json};

impl World {
    pub(super) fn fill_defaults(&self, of: &'static Kind, members: &mut Members) {
        let now = stamp(self.now());
        let actor = self.actor.to_string();
        let default = |name: &str| self.default_of(name).map_or(Value::Null, Value::from);
        let mut set = |name: &str, value: Value| {
            if !members.contains_key(name) && !value.is_null() {
                members.insert(name.to_owned(), value);
            }
        };
        match of.name {
            "opportunity" => {
                set("type", default("opportunityType"));
                set("stage", default("stage"));
                set("status", default("opportunityStatus"));
                set("rating", default("rating"));
                set("probability", json!(1));
                set("locationId", json!(1));
                set("businessUnitId", json!(1));
                set("dateBecameLead", now.clone().into());
                set("totalSalesTax", json!(0.0));
                set("currency", json!(1));
                set("companyLocationId", json!(1));
            }
            "opportunityNote" => {
                set("enteredBy", actor.into());
                set("flagged", false.into());
            }
            "opportunityContact" => set("referralFlag", false.into()),
            "product" => {
                set("quantity", json!(1.0));
                set("discount", json!(0.0));
                set("priceMethod", "FlatRateForRange".into());
                set("locationId", json!(1));
                set("businessUnitId", json!(1));
                for flag in [
                    "taxableFlag",
                    "dropshipFlag",
                    "specialOrderFlag",
                    "phaseProductFlag",
                ] {
                    set(flag, false.into());
                }
                set("cancelledFlag", false.into());
                set("quantityCancelled", json!(0.0));
                set("productSuppliedFlag", false.into());
                set("bypassForecastUpdate", false.into());
            }
            "forecastItem" => {
                set("includeFlag", true.into());
                set("linkFlag", false.into());
                set("recurringFlag", false.into());
                set("taxableFlag", false.into());
                set("revenue", json!(0.0));
                set("cost", json!(0.0));
            }
            "activity" => {
                set("type", default("activityType"));
                set("status", default("activityStatus"));
                set("notifyFlag", false.into());
                set("currency", json!(1));
            }
            "company" => {
                set("status", default("companyStatus"));
                for flag in ["leadFlag", "unsubscribeFlag", "deletedFlag", "isVendorFlag"] {
                    set(flag, false.into());
                }
                set("dateAcquired", now.clone().into());
                set("country", json!(1));
                set("currency", json!(1));
                set("types", json!([]));
            }
            "site" => {
                for flag in [
                    "primaryAddressFlag",
                    "defaultShippingFlag",
                    "defaultBillingFlag",
                    "defaultMailingFlag",
                    "inactiveFlag",
                    "billSeparateFlag",
                ] {
                    set(flag, false.into());
                }
            }
            "contact" => {
                for flag in [
                    "inactiveFlag",
                    "marriedFlag",
                    "childrenFlag",
                    "unsubscribeFlag",
                    "defaultBillingFlag",
                    "defaultFlag",
                    "ignoreDuplicates",
                ] {
                    set(flag, false.into());
                }
                set("disablePortalLoginFlag", true.into());
                set("communicationItems", json!([]));
                set("types", json!([]));
            }
            "adjustment" => set("closedFlag", false.into()),
            "catalogItem" => {
                set("price", json!(0.0));
                set("cost", json!(0.0));
                set("productClass", "NonInventory".into());
                set("unitOfMeasure", json!(1));
                for flag in [
                    "inactiveFlag",
                    "serializedFlag",
                    "serializedCostFlag",
                    "phaseProductFlag",
                    "taxableFlag",
                    "dropShipFlag",
                    "specialOrderFlag",
                    "recurringFlag",
                ] {
                    set(flag, false.into());
                }
            }
            "ticket" => {
                set("recordType", "ServiceTicket".into());
                set("board", json!(1));
                set("status", default("ticketStatus"));
                set("priority", default("priority"));
                set("severity", "Medium".into());
                set("impact", "Medium".into());
                set("source", default("ticketSource"));
                for flag in ["approved", "hasChildTicket", "customerUpdatedFlag"] {
                    set(flag, false.into());
                }
                set("actualHours", json!(0.0));
            }
            "ticketNote" => {
                set("createdBy", actor.into());
                set("dateCreated", now.clone().into());
            }
            "callback" => {
                set("memberId", self.actor_id().into());
                set("payloadVersion", "3.0.0".into());
                for flag in ["inactiveFlag", "isSoapCallbackFlag", "isSelfSuppressedFlag"] {
                    set(flag, false.into());
                }
                let guid = seed::guid(self.options.seed, "callback", self.drawn);
                set("connectWiseID", guid.into());
                // Where the guide asks for 1, 0 is taken and answered as 1.
                if members.get("objectId") == Some(&json!(0)) {
                    members.insert("objectId".into(), json!(1));
                }
                // The client's own 0 stands for itself.
                if members.get("memberId") == Some(&json!(0)) {
                    members.insert("memberId".into(), self.actor_id().into());
                }
                for name in ["type", "level"] {
                    if let Some(text) = members.get(name).and_then(Value::as_str) {
                        let lower = text.to_ascii_lowercase();
                        members.insert(name.into(), lower.into());
                    }
                }
            }
            _ => {}
        }
        let has_custom = of.fields.iter().any(|field| field.ty == Ty::Custom);
        if has_custom && !members.contains_key("customFields") {
            members.insert("customFields".into(), seed::custom_fields(of).into());
        }
        self.fill_from_links(of, members);
        self.follow_status(of, &Members::new(), members);
    }

    /// What follows from the records that a record refers to.
    fn fill_from_links(&self, of: &Kind, members: &mut Members) {
        let linked = |members: &Members, link: &str, target: &str, part: &str| {
            let id = members.get(link)?.as_i64()?;
            self.row(kind(target), id)?.members.get(part).cloned()
        };
        let plan: &[(&str, &str, &str, &str)] = match of.name {
            "opportunity" => &[("site", "company", "company", "site")],
            "opportunityContact" => &[
                ("company", "contact", "contact", "company"),
                ("phoneNumber", "contact", "contact", "defaultPhoneNbr"),
            ],
            "product" => &[
                ("description", "catalogItem", "catalogItem", "description"),
                (
                    "customerDescription",
                    "catalogItem",
                    "catalogItem",
                    "customerDescription",
                ),
                ("price", "catalogItem", "catalogItem", "price"),
                ("cost", "catalogItem", "catalogItem", "cost"),
                ("listPrice", "catalogItem", "catalogItem", "price"),
                ("productClass", "catalogItem", "catalogItem", "productClass"),
                (
                    "unitOfMeasure",
                    "catalogItem",
                    "catalogItem",
                    "unitOfMeasure",
                ),
                ("company", "opportunity", "opportunity", "company"),
                ("forecastStatus", "opportunity", "opportunity", "status"),
            ],
            "forecastItem" => &[
                ("status", "opportunity", "opportunity", "status"),
                (
                    "productDescription",
                    "catalogItem",
                    "catalogItem",
                    "description",
                ),
                ("productClass", "catalogItem", "catalogItem", "productClass"),
            ],
            "catalogItem" => &[("category", "subcategory", "subcategory", "category")],
            "contact" => &[("site", "company", "company", "site")],
            "ticket" => &[("site", "company", "company", "site")],
            _ => &[],
        };
        for (name, link, target, part) in plan {
            if !members.contains_key(*name)
                && let Some(value) = linked(members, link, target, part)
            {
                members.insert((*name).into(), value);
            }
        }
        // Extensions are always computed.
        if of.name == "product" {
            let number = |members: &Members, name: &str| {
                members.get(name).and_then(Value::as_f64).unwrap_or(0.0)
            };
            let (quantity, price, cost) = (
                number(members, "quantity"),
                number(members, "price"),
                number(members, "cost"),
            );
            members.insert("extPrice".into(), cents(quantity * price));
            members.insert("extCost".into(), cents(quantity * cost));
            members.insert("margin".into(), cents(quantity * (price - cost)));
        }
    }

    /// The default record of a setup table, or its first.
    pub(crate) fn default_of(&self, name: &str) -> Option<i64> {
        let rows = &self.table(kind(name)).rows;
        let default = rows
            .values()
            .find(|row| row.members.get("defaultFlag") == Some(&Value::Bool(true)));
        default.or_else(|| rows.values().next()).map(|row| row.id)
    }

    /// The member as which writes are made now.
    pub(crate) fn actor_id(&self) -> i64 {
        self.find_by(kind("member"), "identifier", &self.actor)
            .unwrap_or(1)
    }
}

/// A number with at most two decimals.
pub(crate) fn cents(value: f64) -> Value {
    json!((value * 100.0).round() / 100.0)
}

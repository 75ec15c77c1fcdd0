//! Webhooks: who wants to hear of what, and the courier that tells them.
//!
//! A delivery is due a minute after its event and is tried six times in all, after further 5, 10, 15, 20 and 25 minutes on
//! the simulated clock; then the webhook is switched off. Any 2xx within ten seconds counts as delivered.

mod courier;
mod news;

pub(super) use courier::courier;

use super::json::{J, obj};
use super::reply::Refusal;
use super::server::Service;
use super::world::World;
use super::write::{Fields, Verb, Write, Written};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Most webhooks of one type.
const HOOKS_PER_TYPE_MAX: usize = 5;
/// Most deliveries that wait; later events are dropped.
const WAITING_MAX: usize = 100_000;
/// Pauses after each failed attempt; with none left the webhook is switched off.
const PAUSES: [SignedDuration; 5] = [
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(15),
    SignedDuration::from_mins(20),
    SignedDuration::from_mins(25),
];
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the courier looks at the clock while it runs by itself.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const TYPES: [&str; 32] = [
    "Sale/Created",
    "Sale/QuoteAuthorised",
    "Sale/OrderAuthorised",
    "Sale/Voided",
    "Sale/Backordered",
    "Sale/ShipmentAuthorised",
    "Sale/InvoiceAuthorised",
    "Sale/PickAuthorised",
    "Sale/PackAuthorised",
    "Sale/CreditNoteAuthorised",
    "Sale/Undo",
    "Sale/PartialPaymentReceived",
    "Sale/FullPaymentReceived",
    "Sale/AttachmentAdded",
    "Sale/AdditionalAttributesChanged",
    "Sale/ShipmentTrackingNumberChanged",
    "Purchase/OrderAuthorised",
    "Purchase/InvoiceAuthorised",
    "Purchase/StockReceivedAuthorised",
    "Purchase/CreditNoteAuthorised",
    "Purchase/Updated",
    "Customer/Updated",
    "Supplier/Updated",
    "Product/Updated",
    "Stock/AvailableStockLevelChanged",
    "Lead/Updated",
    "Lead/Converted",
    "Opportunity/Authorized",
    "Opportunity/AttachmentAdded",
    "Opportunity/Voided",
    "Opportunity/Converted",
    "Task/Overdue",
];

/// The webhooks of one account and what waits to be delivered.
#[derive(Default)]
pub(crate) struct Hooks {
    all: Vec<Hook>,
    waiting: Vec<Delivery>,
}

#[derive(Clone)]
struct Hook {
    id: Uuid,
    kind: &'static str,
    active: bool,
    url: String,
    auth: String,
    user: String,
    password: String,
    bearer: String,
    headers: Vec<(String, String)>,
}

struct Delivery {
    hook: Uuid,
    due: Timestamp,
    attempt: usize,
    body: Vec<u8>,
}

impl Hooks {
    /// Every webhook, passwords in clear, as the service shows them.
    pub(crate) fn document(&self) -> J<'_> {
        let rows = self.all.iter().map(|hook| {
            let headers = hook
                .headers
                .iter()
                .map(|(key, value)| obj! { "Key": key, "Value": value });
            obj! {
                "ID": hook.id,
                "Type": hook.kind,
                "Name": hook.kind.rsplit('/').next().unwrap_or_default(),
                "IsActive": hook.active,
                "ExternalURL": &hook.url,
                "ExternalAuthorizationType": &hook.auth,
                "ExternalUserName": &hook.user,
                "ExternalPassword": &hook.password,
                "ExternalBearerToken": &hook.bearer,
                "ExternalHeaders": headers.collect::<Vec<_>>(),
            }
        });
        J::Obj(vec![("Webhooks", J::Arr(rows.collect()))])
    }

    /// Whether anything waits.
    pub(crate) fn has_due(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Creates, changes and removes webhooks.
pub(super) fn write(world: &mut World, write: &Write<'_>) -> Written {
    match write.verb {
        Verb::Post => {
            let named = write.body.required("Type")?;
            let kind = TYPES.iter().find(|kind| kind.eq_ignore_ascii_case(&named));
            let kind = *kind
                .ok_or_else(|| Refusal::bad(format!("Webhook type '{named}' is not supported.")))?;
            if world
                .hooks
                .all
                .iter()
                .filter(|hook| hook.kind == kind)
                .count()
                >= HOOKS_PER_TYPE_MAX
            {
                return Err(Refusal::bad(format!(
                    "There can be at most {HOOKS_PER_TYPE_MAX} webhooks of type {kind}."
                )));
            }
            let url = write.body.required("ExternalURL")?;
            let mut hook = Hook {
                id: Uuid::nil(),
                kind,
                active: true,
                url,
                auth: "noauth".into(),
                user: String::new(),
                password: String::new(),
                bearer: String::new(),
                headers: vec![],
            };
            fill(&mut hook, write.body)?;
            hook.id = world.new_id();
            world.hooks.all.push(hook);
        }
        Verb::Put => {
            let id = write.body.required_id("ID")?;
            let at = position(world, id)?;
            let mut hook = world.hooks.all[at].clone();
            fill(&mut hook, write.body)?;
            world.hooks.all[at] = hook;
        }
        Verb::Delete => {
            let id = write.query.required_id("ID")?;
            let at = position(world, id)?;
            world.hooks.all.remove(at);
            world.hooks.waiting.retain(|delivery| delivery.hook != id);
        }
    }
    Ok(world.hooks.document().bytes())
}

fn position(world: &World, id: Uuid) -> Result<usize, Refusal> {
    world
        .hooks
        .all
        .iter()
        .position(|hook| hook.id == id)
        .ok_or_else(|| Refusal::bad("Webhook not found"))
}

fn fill(hook: &mut Hook, body: Fields<'_>) -> Result<(), Refusal> {
    let set = |field: &mut String, key: &str| {
        if body.raw(key).is_some() {
            *field = body.text(key).unwrap_or_default();
        }
    };
    set(&mut hook.user, "ExternalUserName");
    set(&mut hook.password, "ExternalPassword");
    set(&mut hook.bearer, "ExternalBearerToken");
    if let Some(url) = body.text("ExternalURL") {
        hook.url = url;
    }
    if let Some(auth) = body.text("ExternalAuthorizationType") {
        let auth = auth.to_ascii_lowercase();
        if !["noauth", "basicauth", "bearerauth"].contains(&auth.as_str()) {
            return Err(Refusal::bad(format!(
                "'ExternalAuthorizationType' cannot be '{auth}'."
            )));
        }
        hook.auth = auth;
    }
    hook.active = body.bool("IsActive").unwrap_or(hook.active);
    if body.raw("ExternalHeaders").is_some() {
        let rows = body.rows("ExternalHeaders")?;
        hook.headers = rows
            .iter()
            .map(|row| Ok((row.required("Key")?, row.text("Value").unwrap_or_default())))
            .collect::<Result<_, Refusal>>()?;
    }
    Ok(())
}

//! Webhooks: who wants to hear of what, and the courier that tells them.
//!
//! A delivery is due a minute after its event and is tried six times in all, after further 5, 10, 15, 20 and 25 minutes on
//! the simulated clock; then the webhook is switched off. Any 2xx within ten seconds counts as delivered.

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

impl World {
    /// Whether anybody wants to hear of events of this type.
    fn heard(&self, kind: &str) -> bool {
        self.hooks
            .all
            .iter()
            .any(|hook| hook.active && hook.kind == kind)
    }

    /// Puts an event on the way to everybody who wants to hear of it.
    pub(crate) fn announce(&mut self, kind: &str, body: Value) {
        if !self.heard(kind) {
            return;
        }
        let delay =
            SignedDuration::try_from(self.options.webhook_delay).unwrap_or(SignedDuration::MAX);
        let due = self.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let hooks = self
            .hooks
            .all
            .iter()
            .filter(|hook| hook.active && hook.kind == kind);
        let room = WAITING_MAX.saturating_sub(self.hooks.waiting.len());
        let new: Vec<_> = hooks
            .take(room)
            .map(|hook| Delivery {
                hook: hook.id,
                due,
                attempt: 0,
                body: body.clone(),
            })
            .collect();
        self.hooks.waiting.extend(new);
    }

    /// Announces an event of a sale, with the members that its type carries besides `more`.
    pub(crate) fn announce_sale(&mut self, kind: &str, at: u32, more: Value) {
        if !self.heard(kind) {
            return;
        }
        let Some(sale) = self.sales[at as usize].as_ref() else {
            return;
        };
        let customer = self.customer(sale.customer);
        let mut body = json!({"EventType": kind});
        match kind {
            "Sale/ShipmentAuthorised" | "Sale/InvoiceAuthorised" => {
                body["SaleTaskID"] = json!(sale.id);
                body["TenantID"] = json!(self.account.account_id);
                body["OrderNumber"] = json!(sale.number);
            }
            "Sale/PartialPaymentReceived" | "Sale/FullPaymentReceived" => {
                body["SaleID"] = json!(sale.id)
            }
            _ => {
                body["SaleID"] = json!(sale.id);
                body["SaleOrderNumber"] = json!(sale.number);
            }
        }
        if !matches!(
            kind,
            "Sale/QuoteAuthorised" | "Sale/OrderAuthorised" | "Sale/Backordered"
        ) {
            body["CustomerName"] = json!(customer.name);
            body["CustomerContactName"] = json!(customer.contact());
            body["CustomerContactEmail"] = json!(customer.email());
        }
        if kind == "Sale/Created" {
            body["SaleRepEmail"] = json!("sales@example.com");
            body["SaleOrderDate"] = json!(sale.order_date.to_string());
            body["TaskTypeSign"] = json!("SO");
            body["IsServiceOnly"] = json!(if sale.kind == super::world::sale::Kind::Service {
                "1"
            } else {
                "0"
            });
            body["DownloadLink"] = json!("");
        }
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        self.announce(kind, body);
    }

    /// Announces a customer or a supplier: the record, its addresses and its contacts side by side.
    pub(crate) fn announce_partner(
        &mut self,
        kind: &str,
        what: &str,
        event: &str,
        mut record: Value,
    ) {
        if !self.heard(kind) {
            return;
        }
        let (addresses, contacts) = (record["Addresses"].take(), record["Contacts"].take());
        if let Some(stamp) = record["LastModifiedOn"]
            .as_str()
            .map(|s| s.trim_end_matches('Z').to_owned())
        {
            record["LastModifiedOn"] = json!(stamp);
        }
        let row =
            json!({"Event": event, what: record, "Addresses": addresses, "Contacts": contacts});
        let mut body = json!({"EventType": kind});
        body[format!("NumberOf{what}s")] = json!(1);
        body[format!("{what}DetailsList")] = json!([row]);
        self.announce(kind, body);
    }

    /// Announces every product whose availability changed since the last call.
    pub(crate) fn announce_stock(&mut self) {
        let touched = std::mem::take(&mut self.stock.touched);
        const KIND: &str = "Stock/AvailableStockLevelChanged";
        if !self.heard(KIND) {
            return;
        }
        for product in touched {
            let cards: Vec<_> = self.stock.cards_of(product).collect();
            let rows = cards.iter().map(|(key, card)| {
                let mut row = self.availability_row(key, card).value();
                row["Category"] = json!(self.product(product).category);
                row["MaxRows"] = json!(cards.len());
                row
            });
            let body: Value = rows.collect();
            self.announce(KIND, body);
        }
    }
}

/// One letter on its way.
struct Letter {
    account: usize,
    hook: Hook,
    attempt: usize,
    body: Vec<u8>,
}

/// Delivers what is due until the simulator stops.
pub(crate) async fn courier(service: Arc<Service>) {
    // Another crate may have chosen the provider already, which is just as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let Ok(client) = reqwest::Client::builder()
        .timeout(ANSWER_WAIT_MAX)
        .no_proxy()
        .build()
    else {
        return;
    };
    loop {
        let moved = service.clock.moved();
        tokio::pin!(moved);
        // Registered before looking, so that a push between looking and waiting is not missed.
        moved.as_mut().enable();
        for letter in due(&service) {
            let delivered = tokio::select! {
                delivered = send(&client, &letter) => delivered,
                () = service.stop.cancelled() => return,
            };
            settle(&service, letter, delivered);
        }
        let idle = (0..service.worlds.len()).all(|at| !service.read(at).hooks.has_due());
        tokio::select! {
            () = service.stop.cancelled() => return,
            () = moved => {}
            () = service.post.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY), if !idle => {}
        }
    }
}

/// Takes everything that is due out of the queues.
fn due(service: &Service) -> Vec<Letter> {
    let now = service.clock.now();
    let mut letters = vec![];
    for account in 0..service.worlds.len() {
        if !service
            .read(account)
            .hooks
            .waiting
            .iter()
            .any(|delivery| delivery.due <= now)
        {
            continue;
        }
        let mut world = service.write(account);
        let hooks = &mut world.hooks;
        let (ready, later) = std::mem::take(&mut hooks.waiting)
            .into_iter()
            .partition(|d: &Delivery| d.due <= now);
        hooks.waiting = later;
        for delivery in ready {
            if let Some(hook) = hooks
                .all
                .iter()
                .find(|hook| hook.id == delivery.hook && hook.active)
            {
                letters.push(Letter {
                    account,
                    hook: hook.clone(),
                    attempt: delivery.attempt,
                    body: delivery.body,
                });
            }
        }
    }
    letters
}

async fn send(client: &reqwest::Client, letter: &Letter) -> bool {
    let hook = &letter.hook;
    let mut request = client
        .post(&hook.url)
        .header("content-type", "application/json")
        .body(letter.body.clone());
    request = match hook.auth.as_str() {
        "basicauth" => request.basic_auth(&hook.user, Some(&hook.password)),
        "bearerauth" => request.bearer_auth(&hook.bearer),
        _ => request,
    };
    for (key, value) in &hook.headers {
        request = request.header(key, value);
    }
    request
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// A letter that did not arrive is tried again later, or its webhook is switched off.
fn settle(service: &Service, letter: Letter, delivered: bool) {
    if delivered {
        return;
    }
    let now = service.clock.now();
    let mut world = service.write(letter.account);
    match PAUSES.get(letter.attempt) {
        Some(pause) => {
            let due = now.saturating_add(*pause).unwrap_or(Timestamp::MAX);
            let delivery = Delivery {
                hook: letter.hook.id,
                due,
                attempt: letter.attempt + 1,
                body: letter.body,
            };
            world.hooks.waiting.push(delivery);
        }
        None => {
            for hook in world
                .hooks
                .all
                .iter_mut()
                .filter(|hook| hook.id == letter.hook.id)
            {
                hook.active = false;
            }
            world
                .hooks
                .waiting
                .retain(|delivery| delivery.hook != letter.hook.id);
        }
    }
}

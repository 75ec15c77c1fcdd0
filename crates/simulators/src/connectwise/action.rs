//! What happens in the company while nobody calls: scripted events, and single ones for tests.

use super::kinds::{Kind, kind};
use super::reply::Refusal;
use super::routes::{self, Place};
use super::seed::{guid, roll};
use super::server::Service;
use super::world::{Members, Row, World, whole_second};
use super::write::Action;
use super::{ConnectWise, render::Model};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::RwLockWriteGuard;

/// Why a change was refused: what the service would have answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused with {status}: {message}")]
pub struct Refused {
    /// The status of the answer.
    pub status: u16,
    /// Its message, with the faults of a body.
    pub message: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        let mut message = refusal.message;
        for fault in refusal.errors {
            message.push_str(&format!("; {}: {}", fault.field, fault.message));
        }
        Refused {
            status: refusal.status,
            message,
        }
    }
}

impl ConnectWise {
    /// Plays `n` scripted events: new and edited deals, notes, contacts, activities, won and lost deals, products,
    /// adjustments, rows rewritten with equal totals, edited companies and catalog items, tickets, deletions. The same
    /// seed plays the same script.
    pub fn tick(&self, n: usize) {
        self.world().tick(n);
    }

    /// Enters `n` open deals and returns their ids.
    pub fn add_opportunities(&self, n: usize) -> Vec<i64> {
        let mut world = self.world();
        (0..n).map(|_| world.play_new_deal()).collect()
    }

    /// Changes the name and the stamp of `n` deals, spread over all (fewer if there are fewer), and returns their ids.
    pub fn edit_opportunities(&self, n: usize) -> Vec<i64> {
        let mut world = self.world();
        let ids = world.ids(kind("opportunity"), None);
        let step = (ids.len() / n.max(1)).max(1);
        let chosen: Vec<i64> = ids.into_iter().step_by(step).take(n).collect();
        for id in &chosen {
            world.edit_deal(*id);
        }
        chosen
    }

    /// Sets a deal's status by name, as a person would: `Won`, `Lost`, `Pending Won`. `false` if there is no such deal or
    /// status.
    pub fn set_status(&self, opportunity: i64, status: &str) -> bool {
        let mut world = self.world();
        let status = world.find_by(kind("opportunityStatus"), "name", status);
        status.is_some_and(|status| world.set_status(opportunity, status))
    }

    /// Books adjustments that change what is on hand of `n` different catalog items by one unit each, and returns their
    /// ids. One adjustment holds up to ten details.
    pub fn adjust_stock(&self, n: usize) -> Vec<i64> {
        self.world().adjust_stock(n)
    }

    /// Writes the newest `n` adjustment details anew under new ids, in new adjustments, with every quantity as before: row
    /// churn without any change of stock. Returns how many rows were rewritten.
    pub fn churn_adjustments(&self, n: usize) -> usize {
        self.world().churn(n)
    }

    /// Changes the price and the stamp of `n` catalog items (fewer if there are fewer) and returns their ids.
    pub fn edit_catalog_items(&self, n: usize) -> Vec<i64> {
        let mut world = self.world();
        let items = kind("catalogItem");
        let ids: Vec<i64> = world.ids(items, None).into_iter().take(n).collect();
        for id in &ids {
            world.reprice(*id);
        }
        ids
    }

    /// Creates a record below a path, as `POST` would, and returns it. Nothing is put on the wiretap.
    ///
    /// # Errors
    ///
    /// What the service would have answered; nothing is changed then.
    pub fn create(&self, path: &str, body: Value) -> Result<Value, Refused> {
        let mut world = self.world();
        let (of, id) = match routes::find(path.trim_matches('/')) {
            Some(Place::All(of, parent)) if of.name == "adjustmentDetail" => {
                (of, world.create_detail(parent.unwrap_or(0), &body)?)
            }
            Some(Place::All(of, parent)) => (of, world.create(of, parent, &body)?),
            Some(Place::Forecast(opportunity)) => {
                world.add_forecast(opportunity, &body)?;
                return Ok(world.forecast(opportunity, Model { new: true })?);
            }
            _ => return Err(Refusal::no_endpoint().into()),
        };
        let row = world.row(of, id).cloned();
        Ok(row.map_or(Value::Null, |row| {
            world.document(of, &row, Model { new: true })
        }))
    }

    /// Sets members of a record, as `PATCH` with `replace` would, and moves its stamp. A member set to null is removed.
    ///
    /// # Errors
    ///
    /// What the service would have answered; nothing is changed then.
    pub fn change(&self, path: &str, members: Value) -> Result<(), Refused> {
        let (of, id) = one(path)?;
        let members = members.as_object().cloned().unwrap_or_default();
        let steps = members.into_iter().map(|(name, value)| {
            let op = if value.is_null() { "remove" } else { "replace" };
            json!({"op": op, "path": name, "value": value})
        });
        Ok(self.world().patch(of, id, &steps.collect())?)
    }

    /// Deletes a record, as `DELETE` would.
    ///
    /// # Errors
    ///
    /// What the service would have answered; nothing is changed then.
    pub fn delete(&self, path: &str) -> Result<(), Refused> {
        let (of, id) = one(path)?;
        Ok(self.world().delete(of, id)?)
    }

    /// Puts members into a record as they are, past every check and without moving its stamp: what no client could write
    /// and old data still holds. A member set to null is removed.
    ///
    /// # Errors
    ///
    /// When there is no such record.
    pub fn plant(&self, path: &str, members: Value) -> Result<(), Refused> {
        let (of, id) = one(path)?;
        let mut world = self.world();
        let row = world
            .row_mut(of, id)
            .ok_or_else(|| Refusal::not_found(of.type_name, id))?;
        for (name, value) in members.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(row.members.remove(name)),
                value => drop(row.members.insert(name.clone(), value.clone())),
            }
        }
        Ok(())
    }

    /// Sets the `lastUpdated` of a record to a moment, cut to whole seconds.
    ///
    /// # Errors
    ///
    /// When there is no such record.
    pub fn set_last_updated(&self, path: &str, at: Timestamp) -> Result<(), Refused> {
        let (of, id) = one(path)?;
        let mut world = self.world();
        let row = world
            .row_mut(of, id)
            .ok_or_else(|| Refusal::not_found(of.type_name, id))?;
        row.updated = whole_second(at);
        Ok(())
    }

    fn world(&self) -> RwLockWriteGuard<'_, World> {
        as_staff(self.service())
    }
}

/// The world, with what follows signed by a person of the company.
fn as_staff(service: &Service) -> RwLockWriteGuard<'_, World> {
    let mut world = service.write();
    world.actor = "Ada".into();
    world
}

fn one(path: &str) -> Result<(&'static Kind, i64), Refusal> {
    match routes::find(path.trim_matches('/')) {
        Some(Place::One(of, _, id)) => Ok((of, id)),
        _ => Err(Refusal::no_endpoint()),
    }
}

/// Most details of an adjustment that is booked by script.
const DETAILS_MAX: usize = 10;

impl World {
    pub(crate) fn tick(&mut self, n: usize) {
        for _ in 0..n {
            let event = self.ticks;
            self.ticks += 1;
            let who = 1 + self.draw("who", event, 6) as i64;
            let member = self.row(kind("member"), who);
            let name = member.and_then(|row| row.members.get("identifier")?.as_str());
            self.actor = name.unwrap_or("Ada").into();
            match self.draw("tick", event, 100) {
                0..12 => drop(self.play_new_deal()),
                12..30 => self.with_deal(event, |world, id| world.edit_deal(id)),
                30..44 => self.with_deal(event, World::play_note),
                44..52 => self.with_deal(event, World::play_contact),
                52..62 => self.with_deal(event, World::play_activity),
                62..68 => self.with_deal(event, |world, id| {
                    let status = 2 + world.draw("won", event, 3) as i64;
                    world.set_status(id, status);
                }),
                68..76 => self.with_deal(event, World::play_product),
                76..84 => drop(self.adjust_stock(1 + (event % 3) as usize)),
                84..87 => drop(self.churn(5)),
                87..91 => self.play_master(event),
                91..96 => self.play_ticket(event),
                _ => self.play_deletion(event),
            }
        }
    }

    fn draw(&self, what: &str, n: u64, sides: u64) -> u64 {
        roll(self.options.seed, what, n, sides)
    }

    /// Does something to one of the newest open deals.
    fn with_deal(&mut self, event: u64, act: impl FnOnce(&mut World, i64)) {
        let deals = kind("opportunity");
        let open = |row: &&Row| {
            let status = row.members.get("status").and_then(Value::as_i64);
            !self.flag("opportunityStatus", status, "closedFlag")
        };
        let newest: Vec<i64> = self
            .table(deals)
            .rows
            .values()
            .rev()
            .filter(open)
            .map(|row| row.id)
            .take(120)
            .collect();
        if let Some(id) = newest.get(self.draw("which deal", event, newest.len() as u64) as usize) {
            act(self, *id);
        }
    }

    /// Carries out what cannot fail but by a mistake in the script.
    fn play(&mut self, name: &str, parent: Option<i64>, body: Value) -> i64 {
        match self.create(kind(name), parent, &body) {
            Ok(id) => id,
            Err(refusal) => panic!("the script's {name} is refused: {refusal:?}"),
        }
    }

    pub(crate) fn play_new_deal(&mut self) -> i64 {
        self.drawn += 1;
        let n = self.drawn;
        let companies = self.ids(kind("company"), None);
        let mut company = companies[self.draw("new company", n, companies.len() as u64) as usize];
        let contacts = |world: &World, company| world.linked(kind("contact"), "company", company);
        let mut found = contacts(self, company);
        if found.is_empty() {
            // A company that was entered a moment ago has nobody yet.
            company = companies[0];
            found = contacts(self, company);
        }
        let contact = match found.get(self.draw("new contact", n, found.len() as u64) as usize) {
            Some(contact) => *contact,
            None => self.play(
                "contact",
                None,
                json!({"firstName": "Alex", "lastName": "Front", "company": {"id": company}}),
            ),
        };
        let days = SignedDuration::from_hours(24 * (1 + self.draw("new close", n, 60) as i64));
        let close = self.now().saturating_add(days).unwrap_or(Timestamp::MAX);
        let close = close.to_zoned(jiff::tz::TimeZone::UTC).date();
        self.play(
            "opportunity",
            None,
            json!({"name": format!("New deal {n}"), "expectedCloseDate": format!("{close}T00:00:00Z"), "company": {"id": company},
                   "contact": {"id": contact}, "primarySalesRep": {"id": 1 + n % 6}}),
        )
    }

    pub(crate) fn edit_deal(&mut self, id: i64) {
        self.drawn += 1;
        let deals = kind("opportunity");
        let name = self
            .row(deals, id)
            .and_then(|row| row.members.get("name")?.as_str());
        let plain = name
            .unwrap_or_default()
            .split(" (rev ")
            .next()
            .unwrap_or_default()
            .to_owned();
        let name = format!("{plain} (rev {})", self.drawn);
        let steps = json!([{"op": "replace", "path": "name", "value": name}]);
        // A deal that has gone meanwhile is nobody's concern.
        drop(self.patch(deals, id, &steps));
    }

    pub(crate) fn set_status(&mut self, id: i64, status: i64) -> bool {
        let steps = json!([{"op": "replace", "path": "status", "value": {"id": status}}]);
        self.patch(kind("opportunity"), id, &steps).is_ok()
    }

    fn play_note(&mut self, deal: i64) {
        let notes = kind("opportunityNote");
        let known = self.ids(notes, Some(deal));
        self.drawn += 1;
        match known.last().filter(|_| self.drawn.is_multiple_of(4)) {
            Some(id) => {
                let text = format!("Changed note {}", self.drawn);
                drop(self.patch(
                    notes,
                    *id,
                    &json!([{"op": "replace", "path": "text", "value": text}]),
                ));
            }
            None => {
                let text = format!("Call {}: next step agreed.", self.drawn);
                self.play("opportunityNote", Some(deal), json!({"text": text}));
            }
        }
    }

    fn play_contact(&mut self, deal: i64) {
        self.drawn += 1;
        let rows = kind("opportunityContact");
        let known = self.ids(rows, Some(deal));
        if known.len() > 2 {
            drop(self.delete(rows, known[0]));
            return;
        }
        let company = self.link(kind("opportunity"), deal, "company").unwrap_or(1);
        let contacts = self.linked(kind("contact"), "company", company);
        if let Some(contact) =
            contacts.get(self.draw("deal contact", self.drawn, contacts.len() as u64) as usize)
        {
            self.play(
                "opportunityContact",
                Some(deal),
                json!({"contact": {"id": contact}, "role": {"id": 1}}),
            );
        }
    }

    fn play_activity(&mut self, deal: i64) {
        self.drawn += 1;
        let now = super::render::stamp(self.now());
        self.play(
            "activity",
            None,
            json!({"name": format!("Call {}", self.drawn), "opportunity": {"id": deal}, "assignTo": {"id": 1}, "dateStart": now, "dateEnd": now}),
        );
    }

    fn play_product(&mut self, deal: i64) {
        self.drawn += 1;
        let products = kind("product");
        let known = self.linked(products, "opportunity", deal);
        if let Some(id) = known.last().filter(|_| self.drawn.is_multiple_of(3)) {
            let quantity = 1 + self.draw("units", self.drawn, 30);
            drop(self.patch(
                products,
                *id,
                &json!([{"op": "replace", "path": "quantity", "value": quantity}]),
            ));
            return;
        }
        let items = self.ids(kind("catalogItem"), None);
        let item = items[self.draw("product", self.drawn, items.len() as u64) as usize];
        self.play(
            "product",
            None,
            json!({"catalogItem": {"id": item}, "quantity": 2, "billableOption": "Billable", "opportunity": {"id": deal}}),
        );
    }

    fn play_master(&mut self, event: u64) {
        let (companies, items) = (kind("company"), kind("catalogItem"));
        let pick = |world: &World, of: &Kind| {
            let ids = world.ids(of, None);
            ids[world.draw("master", event, ids.len() as u64) as usize]
        };
        if event.is_multiple_of(2) {
            let id = pick(self, companies);
            let phone = format!("558{event:07}");
            drop(self.patch(
                companies,
                id,
                &json!([{"op": "replace", "path": "phoneNumber", "value": phone}]),
            ));
        } else {
            let id = pick(self, items);
            self.reprice(id);
        }
    }

    fn reprice(&mut self, id: i64) {
        let items = kind("catalogItem");
        let price = self
            .row(items, id)
            .and_then(|row| row.members.get("price")?.as_f64());
        let price = (price.unwrap_or(0.0) * 100.0 + 25.0).round() / 100.0;
        drop(self.patch(
            items,
            id,
            &json!([{"op": "replace", "path": "price", "value": price}]),
        ));
    }

    fn play_ticket(&mut self, event: u64) {
        let tickets = kind("ticket");
        let newest = self.table(tickets).rows.keys().next_back().copied();
        match newest.filter(|_| event.is_multiple_of(2)) {
            Some(id) => {
                let board = self.link(tickets, id, "board").unwrap_or(1);
                let status = (board - 1) * 4 + 1 + self.draw("ticket status", event, 4) as i64;
                drop(self.patch(
                    tickets,
                    id,
                    &json!([{"op": "replace", "path": "status", "value": {"id": status}}]),
                ));
            }
            None => {
                let summary = format!("Asks for help {event}");
                self.play(
                    "ticket",
                    None,
                    json!({"summary": summary, "company": {"id": 1 + event as i64 % 2}}),
                );
            }
        }
    }

    /// Somebody deletes a note, an activity, or the newest deal.
    fn play_deletion(&mut self, event: u64) {
        let of = kind(["opportunityNote", "activity", "opportunity"][(event % 3) as usize]);
        let ids = self.ids(of, None);
        let last = ids.len().saturating_sub(1);
        let at = if of.name == "opportunity" {
            last
        } else {
            self.draw("gone", event, ids.len() as u64) as usize
        };
        if let Some(id) = ids.get(at) {
            drop(self.delete(of, *id));
        }
    }

    pub(crate) fn adjust_stock(&mut self, n: usize) -> Vec<i64> {
        let inventory = kind("catalogInventory");
        let mut items: Vec<(i64, i64)> = vec![];
        for (id, row) in &self.table(inventory).rows {
            if let Some(item) = row.members.get("catalogItem").and_then(Value::as_i64)
                && items.last().is_none_or(|(last, _)| *last != item)
            {
                items.push((item, *id));
            }
        }
        items.dedup_by_key(|(item, _)| *item);
        self.drawn += 1;
        let from = self.draw("adjusted", self.drawn, items.len() as u64) as usize;
        items.rotate_left(from);
        let mut seen = std::collections::HashSet::new();
        items.retain(|(item, _)| seen.insert(*item));
        items.truncate(n);
        for group in items.chunks(DETAILS_MAX) {
            let details: Vec<Value> = group
                .iter()
                .map(|(item, shelf)| {
                    let link = |name: &str| self.link(inventory, *shelf, name);
                    json!({"catalogItem": {"id": item}, "warehouse": {"id": link("warehouse")},
                           "warehouseBin": {"id": link("warehouseBin")}, "quantityAdjusted": 1})
                })
                .collect();
            self.drawn += 1;
            let identifier = format!("SIM-{:06}", self.drawn);
            self.play(
                "adjustment",
                None,
                json!({"identifier": identifier, "type": {"id": 1}, "reason": "Physical count", "closedFlag": true, "adjustmentDetails": details}),
            );
        }
        items.into_iter().map(|(item, _)| item).collect()
    }

    pub(crate) fn churn(&mut self, n: usize) -> usize {
        let (heads, details) = (kind("adjustment"), kind("adjustmentDetail"));
        let mut rows: Vec<(i64, Row)> = vec![];
        for head in self.ids(heads, None).into_iter().rev() {
            if rows.len() >= n {
                break;
            }
            let below = self.ids(details, Some(head));
            rows.extend(
                below
                    .into_iter()
                    .rev()
                    .filter_map(|id| Some((head, self.row(details, id)?.clone()))),
            );
        }
        // Collected from the newest back: the order of the new ids is that of the old.
        rows.reverse();
        let count = rows.len();
        for (head, row) in rows {
            let of = self.row(heads, head).map(|row| row.members.clone());
            self.remove(details, row.id);
            if self.ids(details, Some(head)).is_empty() {
                self.remove(heads, head);
            }
            let mut members = of.unwrap_or_default();
            self.drawn += 1;
            let code = &guid(self.options.seed, "churn", self.drawn)[..8];
            members.insert("identifier".into(), format!("ADJ-{code}").into());
            let head = self.add(heads, members);
            let mut members: Members = row.members;
            members.insert("adjustment".into(), head.into());
            self.add(details, members);
        }
        count
    }

    /// After a page has been served with `page_drift`: a record of the kind moves to the end, one appears, one goes.
    pub(crate) fn drift(&mut self, place: Place, ids: &[i64]) {
        let Place::All(of, parent) = place else {
            return;
        };
        self.actor = "Ada".into();
        if let Some(first) = ids.first() {
            self.stamp(of, *first);
            self.announce(of, *first, Action::Updated);
        }
        match of.name {
            "opportunity" => drop(self.play_new_deal()),
            "opportunityNote" => drop(self.play(
                "opportunityNote",
                parent,
                json!({"text": "While you were reading"}),
            )),
            _ => {}
        }
        // The lowest id goes, which pulls a row of the next page onto this one. Half of the records always stay.
        let all = self.ids(of, parent);
        if ["opportunity", "opportunityNote", "activity"].contains(&of.name)
            && all.len() > 20
            && self.drift_left > 0
        {
            self.drift_left -= 1;
            drop(self.delete(of, all[0]));
        }
    }
}

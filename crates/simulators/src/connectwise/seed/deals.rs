//! Opportunities of every age and state, with their notes, contacts, activities, products and forecast.
//!
//! The ages of a deal are laid out in turn, so that every side of the usual lines (3, 5, 14 and 30 days) is met in a
//! company of any size from two dozen deals on.

use super::{DAY, HOUR, Seeder, custom_with, text};
use crate::connectwise::kinds::kind;
use crate::connectwise::world::Members;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Hours since the last update, in turn: a step on each side of every line, and the long tail.
const UPDATED_HOURS: [u64; 12] = [1, 30, 71, 73, 119, 121, 200, 335, 337, 600, 1_500, 6_000];
/// Days to the expected close, in turn; negative ones are overdue.
const EXPECTED_DAYS: [i64; 13] = [-90, -20, -13, -6, -4, -1, 0, 2, 4, 6, 13, 20, 120];
/// Days since a closed deal was closed, in turn.
const CLOSED_DAYS: [i64; 6] = [1, 12, 29, 31, 90, 500];

const SOURCES: [&str; 3] = ["Referral", "Web", "Campaign"];
const DONE: [&str; 7] = [
    "Call",
    "Visit",
    "Entry",
    "Quote",
    "Follow-up",
    "Mail",
    "Task",
];
const WHAT: [&str; 8] = [
    "Network refresh",
    "Office move",
    "Laptop rollout",
    "Backup service",
    "Firewall renewal",
    "Phone system",
    "Server upgrade",
    "Managed support",
];

impl Seeder<'_> {
    pub(super) fn deals(&mut self) {
        let count = self.world.options.size.opportunities as u64;
        for n in 0..count {
            self.act_as(n);
            let id = self.deal(n);
            let (entered, updated) = match self.world.row(kind("opportunity"), id) {
                Some(row) => (row.entered, row.updated),
                None => continue,
            };
            self.notes(id, n, entered, updated);
            self.deal_contacts(id, n, updated);
            self.activities(id, n, entered, updated);
            self.products(id, n, updated);
        }
    }

    fn deal(&mut self, n: u64) -> i64 {
        // Six in ten are open; the rest won, lost, undecided, and the tenant's own three.
        let status = match n % 20 {
            0..12 => 1,
            12..15 => 2,
            15..17 => 3,
            17 => 4,
            18 => 20 + (n / 20 % 2) as i64,
            _ => 57,
        };
        let is_closed = (2..=4).contains(&status);
        let hours = UPDATED_HOURS[(n / 20 + n) as usize % 12];
        let mut updated = HOUR * hours as i64 + self.roll("minutes", n, 1_800) as i64;
        let closed = is_closed.then(|| {
            CLOSED_DAYS[(n / 20 + n / 2) as usize % 6] * DAY
                + self.roll("closed", n, HOUR as u64) as i64
        });
        if let Some(closed) = closed {
            // Nobody has touched most closed deals since.
            updated = if n.is_multiple_of(3) {
                updated.min(closed)
            } else {
                closed
            };
        }
        let age =
            updated.max(closed.unwrap_or(0)) + DAY * (2 + self.roll("deal age", n, 300) as i64);
        let entered = self.ago(age);
        // Four big companies hold half of the deals.
        let companies = self.world.ids(kind("company"), None);
        let pick = if self.roll("big", n, 2) == 0 {
            4.min(companies.len() as u64)
        } else {
            companies.len() as u64
        };
        let company = companies[self.roll("deal company", n, pick) as usize];
        let contacts = self.world.linked(kind("contact"), "company", company);
        let contact = contacts[self.roll("deal contact", n, contacts.len() as u64) as usize];
        let sites = self.world.ids(kind("site"), Some(company));
        let site = sites[self.roll("deal site", n, sites.len() as u64) as usize];
        let stage = if is_closed {
            5
        } else {
            1 + self.roll("stage", n, 5)
        };
        let closed_date = match closed {
            // Some closed deals do not say when.
            Some(_) if n % 47 == 13 => json!(null),
            Some(closed) => text(self.ago(closed)),
            None => json!(null),
        };
        let expected = match n {
            n if n % 40 == 7 => json!(null),
            n if n % 60 == 11 => json!("2099-12-31T00:00:00Z"),
            n => self.expected(n),
        };
        let rep = 1 + self.roll("rep", n, 6);
        let members = json!({
            "name": format!("{} for {}", WHAT[self.roll("what", n, 8) as usize], n + 1), "expectedCloseDate": expected,
            "type": 1 + self.roll("deal type", n, 4), "stage": stage, "status": status, "priority": 1 + self.roll("flag", n, 3),
            "notes": if n.is_multiple_of(5) { json!(format!("Asked for a quote by phone, reference {n}.")) } else { json!(null) },
            "probability": stage * 2 - 1, "source": SOURCES[(n % 3) as usize],
            "rating": 1 + self.roll("rating", n, 3), "primarySalesRep": rep, "locationId": 1, "businessUnitId": 1, "company": company,
            "contact": contact, "site": site, "customerPO": if status == 2 { json!(format!("PO-{n:06}")) } else { json!(null) },
            "pipelineChangeDate": text(self.ago(updated)), "dateBecameLead": text(entered), "closedDate": closed_date,
            "closedBy": if is_closed { json!(rep) } else { json!(null) }, "totalSalesTax": 0.0, "shipToCompany": company,
            "shipToContact": contact, "shipToSite": site, "billToCompany": company, "billToContact": contact, "billToSite": site,
            "billingTerms": 1, "taxCode": 2, "currency": 1, "companyLocationId": 1,
            "customFields": custom_with("opportunity", &[("Deal Source", if n.is_multiple_of(4) { json!("Trade fair") } else { json!(null) }),
                                                         ("Warranty Years", json!(n % 4))]),
        });
        self.add("opportunity", members, entered, self.ago(updated))
    }

    fn expected(&self, n: u64) -> Value {
        let days = EXPECTED_DAYS[(n / 13 + n) as usize % 13];
        let midnight = self.day(days);
        if !self.world.options.odd_dates || n % 9 != 4 {
            return midnight.into();
        }
        // What hands and imports have left behind.
        let day = &midnight[..10];
        match n / 9 % 4 {
            0 => day.into(),
            1 => format!("{day}T00:00:00+11:00").into(),
            2 => format!("{day}T00:00:00.000").into(),
            _ => "next quarter".into(),
        }
    }

    fn notes(&mut self, deal: i64, n: u64, entered: Timestamp, updated: Timestamp) {
        for at in 0..self.roll("notes", n, 6) {
            let key = n * 8 + at;
            let when = self.between("note", key, entered, updated);
            let by: Value = (*self.world.actor).into();
            self.add(
                "opportunityNote",
                json!({"opportunityId": deal, "type": 1 + key % 3, "text": format!("Note {} on deal {deal}: budget confirmed, next step agreed.", at + 1),
                       "flagged": key.is_multiple_of(7), "enteredBy": by, "mobileGuid": super::guid(self.seed, "note", key)}),
                when,
                when,
            );
        }
    }

    fn deal_contacts(&mut self, deal: i64, n: u64, updated: Timestamp) {
        let deals = kind("opportunity");
        let company = self.world.link(deals, deal, "company").unwrap_or(1);
        let contacts = self.world.linked(kind("contact"), "company", company);
        let count = (1 + self.roll("deal contacts", n, 3)).min(contacts.len() as u64);
        for at in 0..count {
            let contact = contacts[((n + at) % contacts.len() as u64) as usize];
            let row = self.world.row(kind("contact"), contact);
            let phone = row.and_then(|row| row.members.get("defaultPhoneNbr").cloned());
            let mail = row.and_then(|row| {
                row.members
                    .get("communicationItems")?
                    .get(1)?
                    .get("value")
                    .cloned()
            });
            self.add(
                "opportunityContact",
                json!({"opportunityId": deal, "contact": contact, "company": company, "role": 1 + (n + at) % 3, "referralFlag": false,
                       "phoneNumber": phone, "emailAddress": mail}),
                updated,
                updated,
            );
        }
    }

    fn activities(&mut self, deal: i64, n: u64, entered: Timestamp, updated: Timestamp) {
        let deals = kind("opportunity");
        let (company, contact) = (
            self.world.link(deals, deal, "company"),
            self.world.link(deals, deal, "contact"),
        );
        // One deal in forty has more activities than fit one page of 25.
        let count = if n % 40 == 3 {
            60
        } else {
            self.roll("activities", n, 5)
        };
        for at in 0..count {
            let key = n * 64 + at;
            let when = self.between("activity", key, entered, updated);
            let start = if key % 25 == 4 {
                // Some are kept as a day only.
                when.to_zoned(jiff::tz::TimeZone::UTC)
                    .date()
                    .to_string()
                    .into()
            } else {
                text(when)
            };
            let kind = 1 + self.roll("activity type", key, 7);
            self.add(
                "activity",
                json!({"name": format!("{} {} on deal {deal}", DONE[kind as usize - 1], at + 1),
                       "type": kind, "company": company, "contact": contact, "status": 1 + self.roll("activity open", key, 2),
                       "opportunity": deal, "notes": "As agreed.", "dateStart": start, "dateEnd": text(when),
                       "assignedBy": 1 + key % 6, "assignTo": 1 + self.roll("assignee", key, 6), "notifyFlag": false, "currency": 1}),
                when,
                when,
            );
        }
    }

    fn products(&mut self, deal: i64, n: u64, updated: Timestamp) {
        let items = self.world.ids(kind("catalogItem"), None);
        let products = kind("product");
        for at in 0..self.roll("products", n, 5) {
            let key = n * 8 + at;
            let item = items[self.roll("product item", key, items.len() as u64) as usize];
            let mut members = Members::from_iter([
                ("catalogItem".into(), item.into()),
                (
                    "quantity".into(),
                    json!((1 + self.roll("quantity", key, 20)) as f64),
                ),
                ("sequenceNumber".into(), json!((at + 1) as f64)),
                ("billableOption".into(), "Billable".into()),
                ("opportunity".into(), deal.into()),
                ("cancelledFlag".into(), (key % 23 == 5).into()),
            ]);
            self.world.seed_product(&mut members);
            let id = self.world.add_at(products, members, updated, updated);
            self.world.seed_forecast(id, updated);
        }
        if n.is_multiple_of(3) {
            let status = self.world.link(kind("opportunity"), deal, "status");
            let revenue = (1 + self.roll("service", n, 40)) as f64 * 125.0;
            self.add(
                "forecastItem",
                json!({"opportunity": deal, "forecastDescription": "Installation", "quantity": 1.0, "status": status, "revenue": revenue,
                       "cost": revenue * 0.6, "margin": revenue * 0.4, "percentage": 100, "includeFlag": true, "forecastType": "Service",
                       "linkFlag": false, "recurringFlag": false, "taxableFlag": false}),
                updated,
                updated,
            );
        }
    }

    /// A moment between two others.
    fn between(&self, what: &str, n: u64, from: Timestamp, to: Timestamp) -> Timestamp {
        let span = to.duration_since(from).as_secs().max(1) as u64;
        let after = self.roll(what, n, span) as i64;
        from.saturating_add(jiff::SignedDuration::from_secs(after))
            .unwrap_or(to)
    }
}

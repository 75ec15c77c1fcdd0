//! Service tickets and their notes.

use super::{DAY, HOUR, Seeder, custom_with, text};
use crate::connectwise::kinds::kind;
use serde_json::{Value, json};

const TROUBLE: [&str; 8] = [
    "Printer offline",
    "Cannot sign in",
    "Slow network",
    "New starter",
    "Mailbox full",
    "VPN drops",
    "Replace battery",
    "Update failed",
];

impl Seeder<'_> {
    pub(super) fn tickets(&mut self) {
        let count = self.world.options.size.tickets as u64;
        let companies = self.world.ids(kind("company"), None);
        for n in 0..count {
            self.act_as(n);
            let age = HOUR * (1 + (count - n) as i64 * 4 + self.roll("ticket age", n, 24) as i64);
            let entered = self.ago(age);
            let updated = self.ago(self.roll("ticket edit", n, age as u64) as i64);
            let closed = self.roll("ticket closed", n, 10) < if age > 30 * DAY { 9 } else { 5 };
            let board = 1 + n % 2;
            let status = (board - 1) * 4
                + if closed {
                    4
                } else {
                    1 + self.roll("ticket state", n, 3)
                };
            let company =
                companies[self.roll("ticket company", n, companies.len() as u64) as usize];
            let contact = self.world.link(kind("company"), company, "defaultContact");
            let label = contact.and_then(|id| {
                let contacts = kind("contact");
                self.world
                    .label(contacts, self.world.row(contacts, id)?, "name")
            });
            let by: Value = (*self.world.actor).into();
            let id = self.add(
                "ticket",
                json!({
                    "summary": format!("{} {}", TROUBLE[self.roll("trouble", n, 8) as usize], n + 1), "recordType": "ServiceTicket",
                    "board": board, "status": status, "company": company, "contact": contact, "contactName": label,
                    "site": self.world.link(kind("company"), company, "site"), "siteName": "Main", "type": (board - 1) * 2 + 1 + n % 2,
                    "team": board, "priority": 1 + self.roll("priority", n, 3), "source": 1 + n % 3, "severity": "Medium", "impact": "Medium",
                    "requiredDate": self.day(7 - age / DAY), "budgetHours": (1 + n % 8) as f64,
                    "allowAllClientsPortalView": false, "customerUpdatedFlag": false, "automaticEmailContactFlag": false,
                    "automaticEmailResourceFlag": false, "automaticEmailCcFlag": false, "closedFlag": closed,
                    "closedDate": if closed { text(updated) } else { json!(null) }, "closedBy": if closed { by } else { json!(null) },
                    "actualHours": (n % 6) as f64, "approved": closed, "resources": "Ada, Ben", "hasChildTicket": false,
                    "billTime": "Billable", "isInSla": true,
                    "customFields": custom_with("ticket", &[("TomNumber", if n % 3 == 0 { json!(n) } else { json!(null) })]),
                }),
                entered,
                updated,
            );
            for note in 0..self.roll("ticket notes", n, 3) {
                let at = self.ago(age - note as i64 * 600);
                let by: Value = (*self.world.actor).into();
                self.add(
                    "ticketNote",
                    json!({"ticketId": id, "text": format!("Note {} on ticket {id}", note + 1), "detailDescriptionFlag": note == 0,
                           "internalAnalysisFlag": note > 0, "resolutionFlag": false, "internalFlag": note > 0, "externalFlag": note == 0,
                           "dateCreated": text(at), "createdBy": by}),
                    at,
                    at,
                );
            }
        }
    }
}

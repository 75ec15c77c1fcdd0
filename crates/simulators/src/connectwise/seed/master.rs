//! Setup tables, members, companies with their sites and contacts.

use super::{CUSTOM, DAY, HOUR, Seeder, custom_with, guid, text};
use crate::connectwise::kinds::kind;
use serde_json::{Value, json};

const FIRST: [&str; 20] = [
    "Ada", "Ben", "Cara", "Dan", "Emma", "Finn", "Grace", "Hugo", "Ines", "Jorge", "Kim", "Lena",
    "Milo", "Nora", "Otto", "Pia", "Quin", "Rosa", "Sven", "Tara",
];
const LAST: [&str; 20] = [
    "Abbott", "Brandt", "Castell", "Diaz", "Ekman", "Foster", "Garcia", "Hansen", "Ivanov",
    "Jensen", "Keller", "Lopez", "Meyer", "Novak", "Olsen", "Park", "Quist", "Rossi", "Smith",
    "Tanaka",
];
const TITLES: [&str; 4] = ["Owner", "Office Manager", "IT Lead", "Buyer"];
const TRADES: [&str; 12] = [
    "Dental",
    "Logistics",
    "Law",
    "Foods",
    "Motors",
    "Printing",
    "Clinics",
    "Hotels",
    "Textiles",
    "Schools",
    "Farms",
    "Studios",
];
const PLACES: [(&str, &str, &str); 8] = [
    ("Tampa", "FL", "33602"),
    ("Austin", "TX", "73301"),
    ("Denver", "CO", "80202"),
    ("Portland", "OR", "97201"),
    ("Columbus", "OH", "43004"),
    ("Boston", "MA", "02108"),
    ("Phoenix", "AZ", "85001"),
    ("Raleigh", "NC", "27601"),
];

impl Seeder<'_> {
    pub(super) fn setup_tables(&mut self) {
        let then = self.ago(4 * 365 * DAY);
        let at = text(then);
        let mut rows = |name: &str, rows: Value| {
            for row in rows.as_array().into_iter().flatten() {
                self.add(name, row.clone(), then, then);
            }
        };
        rows(
            "probability",
            (1..=10).map(|n| json!({"probability": n * 10})).collect(),
        );
        let status = |name: &str, won: bool, lost: bool, closed: bool| {
            json!({"name": name, "wonFlag": won, "lostFlag": lost, "closedFlag": closed, "inactiveFlag": false,
                   "defaultFlag": name == "Open", "enteredBy": "zadmin", "dateEntered": at})
        };
        rows(
            "opportunityStatus",
            json!([
                status("Open", false, false, false),
                status("Won", true, false, true),
                status("Lost", false, true, true),
                status("No decision", false, false, true),
            ]),
        );
        rows(
            "opportunityType",
            json!([
                {"description": "New business", "inactiveFlag": false},
                {"description": "Renewal", "inactiveFlag": false},
                {"description": "Upgrade", "inactiveFlag": false},
                {"description": "Project", "inactiveFlag": false},
            ]),
        );
        rows(
            "rating",
            json!([{"name": "Cold", "sortOrder": 1}, {"name": "Warm", "sortOrder": 2}, {"name": "Hot", "sortOrder": 3}]),
        );
        rows(
            "stage",
            json!([
                {"name": "1.Prospect", "probability": 1, "color": "Blue", "sequenceNumber": 1},
                {"name": "2.Qualification", "probability": 3, "color": "Green", "sequenceNumber": 2},
                {"name": "3.Quote", "probability": 5, "color": "Yellow", "sequenceNumber": 3},
                {"name": "4.Negotiation", "probability": 7, "color": "Orange", "sequenceNumber": 4},
                {"name": "5.Commitment", "probability": 9, "color": "Red", "sequenceNumber": 5},
            ]),
        );
        rows(
            "role",
            json!([{"name": "Decision maker"}, {"name": "Influencer"}, {"name": "Referral"}]),
        );
        rows(
            "salesPriority",
            json!([{"name": "Clear Flag"}, {"name": "Red Flag"}, {"name": "Green Flag"}]),
        );
        let kinds = [
            "Call",
            "Appointment",
            "Historical Entry",
            "Quote",
            "Follow Up",
            "Email",
            "Task",
        ];
        rows(
            "activityType",
            kinds
                .iter()
                .map(|name| json!({"name": name, "points": 1, "defaultFlag": *name == "Call", "inactiveFlag": false,
                                   "emailFlag": *name == "Email", "memoFlag": false, "historyFlag": *name == "Historical Entry"}))
                .collect(),
        );
        rows(
            "activityStatus",
            json!([{"name": "Open", "defaultFlag": true, "inactiveFlag": false, "spawnFollowupFlag": false, "closedFlag": false},
                   {"name": "Closed", "defaultFlag": false, "inactiveFlag": false, "spawnFollowupFlag": false, "closedFlag": true}]),
        );
        rows(
            "companyStatus",
            json!([{"name": "Active", "defaultFlag": true, "inactiveFlag": false, "notifyFlag": false},
                   {"name": "Inactive", "defaultFlag": false, "inactiveFlag": true, "notifyFlag": false},
                   {"name": "Credit hold", "defaultFlag": false, "inactiveFlag": false, "notifyFlag": true}]),
        );
        rows(
            "companyType",
            json!([{"name": "Client", "defaultFlag": true, "vendorFlag": false}, {"name": "Vendor", "defaultFlag": false, "vendorFlag": true},
                   {"name": "Prospect", "defaultFlag": false, "vendorFlag": false}]),
        );
        rows(
            "contactType",
            json!([{"description": "Primary", "defaultFlag": true}, {"description": "Billing", "defaultFlag": false}]),
        );
        let way = |name: &str, phone: bool, fax: bool, email: bool| json!({"description": name, "phoneFlag": phone, "faxFlag": fax, "emailFlag": email, "defaultFlag": name != "Mobile"});
        rows(
            "communicationType",
            json!([
                way("Email", false, false, true),
                way("Direct", true, false, false),
                way("Mobile", true, false, false),
                way("Fax", false, true, false),
            ]),
        );
        rows(
            "noteType",
            json!([{"name": "General"}, {"name": "Call"}, {"name": "Meeting"}]),
        );
        rows(
            "country",
            json!([{"identifier": "US", "name": "United States"}, {"identifier": "CA", "name": "Canada"}]),
        );
        rows(
            "state",
            PLACES
                .iter()
                .map(|(_, state, _)| json!({"identifier": state, "name": state}))
                .collect(),
        );
        rows(
            "currency",
            json!([{"name": "US Dollars", "symbol": "$", "currencyCode": "USD", "decimalSeparator": ".", "thousandsSeparator": ",", "numberOfDecimals": 2}]),
        );
        rows(
            "taxCode",
            json!([{"identifier": "None", "description": "No tax"}, {"identifier": "State", "description": "State sales tax"}]),
        );
        rows(
            "billingTerms",
            json!([{"name": "Net 30 days"}, {"name": "Due on receipt"}]),
        );
        rows(
            "location",
            json!([{"name": "Head Office"}, {"name": "West"}]),
        );
        rows(
            "department",
            json!([{"identifier": "Sales", "name": "Sales"}, {"identifier": "Service", "name": "Service"}]),
        );
        rows(
            "adjustmentType",
            json!([
                {"identifier": "Count", "name": "Physical count", "auditTrailFlag": true, "dateCreated": at, "createdBy": "zadmin"},
                {"identifier": "Damage", "name": "Damaged goods", "auditTrailFlag": true, "dateCreated": at, "createdBy": "zadmin"},
                {"identifier": "Receipt", "name": "Goods received", "auditTrailFlag": true, "dateCreated": at, "createdBy": "zadmin"},
            ]),
        );
        rows(
            "category",
            json!([{"name": "Hardware", "inactiveFlag": false}, {"name": "Software", "inactiveFlag": false}, {"name": "Services", "inactiveFlag": false}]),
        );
        rows(
            "subcategory",
            json!([{"name": "Network", "category": 1, "inactiveFlag": false}, {"name": "Workstations", "category": 1, "inactiveFlag": false},
                   {"name": "Licences", "category": 2, "inactiveFlag": false}, {"name": "Labour", "category": 3, "inactiveFlag": false}]),
        );
        rows(
            "productType",
            json!([{"name": "Inventory Part", "inactiveFlag": false}, {"name": "Licence", "inactiveFlag": false}, {"name": "Service", "inactiveFlag": false}]),
        );
        rows(
            "unitOfMeasure",
            json!([{"name": "Each", "inactiveFlag": false}, {"name": "Hour", "inactiveFlag": false}]),
        );
        rows(
            "manufacturer",
            json!([{"name": "Northgate", "inactiveFlag": false}, {"name": "Lumen", "inactiveFlag": false}, {"name": "Kestrel", "inactiveFlag": false}]),
        );
        rows(
            "priority",
            json!([{"name": "Priority 1 - Critical", "color": "Red", "sortOrder": 1, "defaultFlag": false},
                   {"name": "Priority 3 - Normal", "color": "Green", "sortOrder": 3, "defaultFlag": true},
                   {"name": "Priority 4 - Low", "color": "Blue", "sortOrder": 4, "defaultFlag": false}]),
        );
        rows(
            "ticketSource",
            json!([{"name": "Phone", "defaultFlag": true}, {"name": "Email Connector", "defaultFlag": false}, {"name": "Portal", "defaultFlag": false}]),
        );
        for board in 1..=2 {
            let name = ["Help Desk", "Projects"][board - 1];
            rows(
                "board",
                json!([{"name": name, "location": 1, "department": 2, "inactiveFlag": false, "projectFlag": false}]),
            );
            let states = [
                ("New", false),
                ("In Progress", false),
                ("Waiting", false),
                ("Closed", true),
            ];
            rows(
                "ticketStatus",
                states
                    .iter()
                    .enumerate()
                    .map(|(n, (name, closed))| json!({"name": name, "board": board, "sortOrder": n + 1, "closedStatus": closed,
                                                      "defaultFlag": *name == "New" && board == 1, "inactive": false}))
                    .collect(),
            );
            rows(
                "ticketType",
                json!([{"name": "Incident", "board": board, "inactive": false}, {"name": "Request", "board": board, "inactive": false}]),
            );
            rows(
                "team",
                json!([{"name": format!("{name} team"), "board": board}]),
            );
        }
        self.own_statuses();
        self.members();
        self.user_defined();
    }

    /// Statuses that the tenant added, among them ones that the end of a deal waits in.
    fn own_statuses(&mut self) {
        let then = self.ago(2 * 365 * DAY);
        let statuses = kind("opportunityStatus");
        let mut own = |from: i64, name: &str| {
            self.world.next_id_from(statuses, from);
            self.add(
                "opportunityStatus",
                json!({"name": name, "wonFlag": false, "lostFlag": false, "closedFlag": false, "inactiveFlag": false,
                       "defaultFlag": false, "enteredBy": "Ada", "dateEntered": text(then)}),
                then,
                then,
            );
        };
        own(20, "Pending Won");
        own(21, "Pending Lost");
        own(57, "04. Confirmed Quote");
    }

    /// Six people, whose ids deals name, and the members that the keys belong to.
    fn members(&mut self) {
        let then = self.ago(4 * 365 * DAY);
        let people = (0..6).map(|n| (FIRST[n].to_owned(), LAST[n], "F"));
        let keys = self.world.options.company.keys.clone().into_iter();
        for (name, last, license) in people.chain(keys.map(|key| (key.member, "API", "X"))) {
            self.add(
                "member",
                json!({"identifier": name, "firstName": name, "lastName": last, "inactiveFlag": false,
                       "emailAddress": format!("{}@pond.example", name.to_ascii_lowercase()), "licenseClass": license,
                       "defaultEmail": "Office", "defaultPhone": "Office", "invoiceScreenDefaultTabFormat": "ShowInvoicingTab",
                       "invoicingDisplayOptions": "RemainOnInvoicingScreen",
                       "agreementInvoicingDisplayOptions": "RemainOnInvoicingScreen"}),
                then,
                then,
            );
        }
    }

    fn user_defined(&mut self) {
        let then = self.ago(3 * 365 * DAY);
        for (at, (of, caption, ty)) in CUSTOM.iter().enumerate() {
            let screen = kind(of).type_name;
            self.add(
                "userDefinedField",
                json!({"podId": 4, "podDescription": format!("{screen} Overview"), "caption": caption, "sequenceNumber": at + 1,
                       "screenId": format!("{}300", &of[..2]), "screenDescription": screen, "fieldTypeIdentifier": ty,
                       "numberDecimals": 0, "entryTypeIdentifier": "EntryField", "requiredFlag": false,
                       "displayOnScreenFlag": true, "readOnlyFlag": false, "listViewFlag": true, "dateCreated": text(then)}),
                then,
                then,
            );
        }
    }

    pub(super) fn companies(&mut self) {
        let count = self.world.options.size.companies.max(2) as u64;
        for n in 0..count {
            self.act_as(n);
            let age = DAY * (400 + self.roll("company age", n, 1_200) as i64);
            let (entered, updated) = (
                self.ago(age),
                self.ago(HOUR * (1 + self.roll("company edit", n, 9_000) as i64)),
            );
            let updated = updated.max(entered);
            let last = LAST[self.roll("company", n, 20) as usize];
            let trade = TRADES[self.roll("trade", n, 12) as usize];
            let (city, state, zip) = PLACES[self.roll("place", n, 8) as usize];
            let name = format!("{last} {trade} {}", n + 1);
            let id = self.add(
                "company",
                json!({
                    "identifier": format!("{last}{trade}{}", n + 1), "name": name, "status": if n % 17 == 16 { 2 } else { 1 },
                    "addressLine1": format!("{} Mill Street", 10 + n), "city": city, "state": state, "zip": zip, "country": 1,
                    "phoneNumber": format!("555{:07}", n), "website": format!("https://{}.example", last.to_lowercase()),
                    "territory": 1 + n % 2, "dateAcquired": text(entered), "annualRevenue": (1 + self.roll("revenue", n, 90)) as f64 * 100_000.0,
                    "numberOfEmployees": 5 + self.roll("employees", n, 400), "leadFlag": false, "unsubscribeFlag": false,
                    "deletedFlag": false, "isVendorFlag": n % 11 == 10, "types": [if n % 11 == 10 { 2 } else { 1 }], "currency": 1,
                    "billingTerms": 1, "taxCode": 2, "mobileGuid": guid(self.seed, "company", n),
                    "customFields": custom_with("company", &[("VIP", (n < 5).into())]),
                }),
                entered,
                updated,
            );
            self.sites(id, n, entered);
            self.contacts(id, n, entered);
        }
    }

    fn sites(&mut self, company: i64, n: u64, entered: jiff::Timestamp) {
        let count = 1 + self.roll("sites", n, 3);
        for at in 0..count {
            let (city, _, zip) = PLACES[self.roll("site place", n * 4 + at, 8) as usize];
            let first = at == 0;
            let id = self.add(
                "site",
                json!({
                    "name": if first { "Main".to_owned() } else { format!("Branch {city} {at}") },
                    "addressLine1": format!("{} Weir Road", 100 + n * 4 + at), "city": city, "zip": zip, "country": 1,
                    "stateReference": 1 + self.roll("site place", n * 4 + at, 8), "phoneNumber": format!("556{:07}", n * 4 + at),
                    "primaryAddressFlag": first, "defaultShippingFlag": first, "defaultBillingFlag": first,
                    "defaultMailingFlag": first, "inactiveFlag": false, "billSeparateFlag": false, "company": company,
                    "mobileGuid": guid(self.seed, "site", n * 4 + at),
                }),
                entered,
                entered,
            );
            if first && let Some(row) = self.world.row_mut(kind("company"), company) {
                row.members.insert("site".into(), id.into());
                row.members.insert("billingSite".into(), id.into());
            }
        }
    }

    fn contacts(&mut self, company: i64, n: u64, entered: jiff::Timestamp) {
        // The first companies are the big ones.
        let count = 1 + self.roll("contacts", n, 5) + if n < 4 { 20 } else { 0 };
        for at in 0..count {
            let key = n * 64 + at;
            let (first, last) = (
                FIRST[self.roll("first", key, 20) as usize],
                LAST[self.roll("last", key, 20) as usize],
            );
            let mail = format!(
                "{}.{}{key}@client{}.example",
                first.to_lowercase(),
                last.to_lowercase(),
                n + 1
            );
            let domain = mail[mail.find('@').unwrap_or(0)..].to_owned();
            let phone = format!("557{key:07}");
            let id = self.add(
                "contact",
                json!({
                    "firstName": first, "lastName": last, "company": company, "site": self.world.link(kind("company"), company, "site"),
                    "title": TITLES[(key % 4) as usize], "inactiveFlag": key % 29 == 28,
                    "marriedFlag": false, "childrenFlag": false, "portalSecurityLevel": 1, "disablePortalLoginFlag": true,
                    "unsubscribeFlag": false, "mobileGuid": guid(self.seed, "contact", key), "defaultPhoneType": "Direct",
                    "defaultPhoneNbr": phone, "defaultBillingFlag": at == 0, "defaultFlag": at == 0, "types": [],
                    "communicationItems": [
                        {"id": 10_000 + key * 2, "type": 2, "value": phone, "defaultFlag": true, "communicationType": "Phone"},
                        {"id": 10_001 + key * 2, "type": 1, "value": mail, "defaultFlag": true, "domain": domain, "communicationType": "Email"},
                    ],
                    "ignoreDuplicates": false, "customFields": custom_with("contact", &[]),
                }),
                entered,
                entered,
            );
            if at == 0
                && let Some(row) = self.world.row_mut(kind("company"), company)
            {
                row.members.insert("defaultContact".into(), id.into());
                row.members.insert("billingContact".into(), id.into());
            }
        }
    }
}

//! Reference books and settings: small tables that are held as the documents they are.

use super::{id_of, sale::TAX_RULES};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Rows of every reference book, by path in lower case.
#[derive(Debug, Default)]
pub(crate) struct Books(BTreeMap<&'static str, Vec<Map<String, Value>>>);

/// A reference book: where it is served, the key of its list, how its rows are told apart, what a row must name.
pub(crate) struct BookKind {
    pub path: &'static str,
    pub list: &'static str,
    pub id: &'static str,
    pub name: &'static str,
    /// How an error message calls one row.
    pub noun: &'static str,
    /// Members a new row gets when the client leaves them out.
    pub defaults: &'static [(&'static str, &'static str)],
}

const fn book(
    path: &'static str,
    list: &'static str,
    id: &'static str,
    name: &'static str,
    noun: &'static str,
) -> BookKind {
    BookKind {
        path,
        list,
        id,
        name,
        noun,
        defaults: &[],
    }
}

/// The books that share one way of reading and writing.
pub(crate) const KINDS: &[BookKind] = &[
    book(
        "ref/attributeset",
        "AttributeSetList",
        "ID",
        "Name",
        "Attribute set",
    ),
    book("ref/brand", "BrandList", "ID", "Name", "Brand"),
    book(
        "ref/carrier",
        "CarrierList",
        "CarrierID",
        "Description",
        "Carrier",
    ),
    BookKind {
        defaults: &[
            ("Type", "\"EXPENSE\""),
            ("Status", "\"ACTIVE\""),
            ("Description", "\"\""),
            ("Class", "\"EXPENSE\""),
            ("SystemAccount", "null"),
            ("ForPayments", "false"),
        ],
        ..book("ref/account", "AccountsList", "Code", "Name", "Account")
    },
    book(
        "ref/account/bank",
        "BankAccountsList",
        "AccountID",
        "AccountName",
        "Bank account",
    ),
    book("ref/category", "CategoryList", "ID", "Name", "Category"),
    book("ref/unit", "UnitList", "ID", "Name", "Unit"),
    BookKind {
        defaults: &[
            ("Duration", "30"),
            ("Method", "\"number of days\""),
            ("IsActive", "true"),
            ("IsDefault", "false"),
        ],
        ..book(
            "ref/paymentterm",
            "PaymentTermList",
            "ID",
            "Name",
            "Payment term",
        )
    },
    BookKind {
        defaults: &[
            ("IsActive", "true"),
            ("TaxInclusive", "false"),
            ("TaxPercent", "0"),
            ("IsTaxForSale", "true"),
            ("IsTaxForPurchase", "true"),
            ("Components", "[]"),
        ],
        ..book("ref/tax", "TaxRuleList", "ID", "Name", "Tax rule")
    },
    book(
        "ref/fixedassettype",
        "FixedAssetTypeList",
        "FixedAssetTypeID",
        "Name",
        "Fixed asset type",
    ),
    book("me/contacts", "MeContactsList", "ID", "Name", "Contact"),
    book("me/addresses", "MeAddressesList", "ID", "Line1", "Address"),
    book("reference/deals", "Deals", "ID", "Name", "Deal"),
    book(
        "reference/discount",
        "DiscountRules",
        "ID",
        "Name",
        "Discount rule",
    ),
    book(
        "reference/shipzones",
        "ShipZones",
        "ID",
        "Name",
        "Ship zone",
    ),
    book("crm/lead", "LeadList", "ID", "Name", "Lead"),
    book(
        "crm/opportunity",
        "opportunityList",
        "ID",
        "Name",
        "Opportunity",
    ),
    book("crm/task", "Tasks", "ID", "Name", "Task"),
    book(
        "crm/taskcategory",
        "Categories",
        "ID",
        "Name",
        "Task category",
    ),
    book("crm/workflow", "Workflows", "ID", "Name", "Workflow"),
];

/// Names of the price tiers, first to tenth.
pub(crate) const TIERS: [&str; 10] = [
    "Retail",
    "Trade",
    "Wholesale",
    "Distributor",
    "Export",
    "Staff",
    "Tier 7",
    "Tier 8",
    "Tier 9",
    "Tier 10",
];
pub(crate) const CARRIERS: [&str; 4] = ["DHL", "Royal Mail", "DPD", "Customer Collect"];
pub(crate) const TERMS: [(&str, i64); 4] = [
    ("30 days", 30),
    ("14 days", 14),
    ("60 days", 60),
    ("Cash on delivery", 0),
];
pub(crate) const BRANDS: [&str; 3] = ["Millrace", "Reedbank", "Otter & Oak"];
pub(crate) const UNITS: [&str; 3] = ["Item", "Pack", "Box"];
/// Category by the first word of a product's name that is found here; the last is for all others.
pub(crate) const CATEGORIES: [(&str, &[&str]); 8] = [
    ("Bags", &["BAG", "BAGS", "JUMBO", "SHOPPER"]),
    (
        "Kitchen",
        &[
            "CAKE", "MUG", "TEA", "COFFEE", "BAKING", "BOWL", "PLATE", "KITCHEN", "LUNCH", "JAM",
            "CUTLERY",
        ],
    ),
    (
        "Lighting",
        &[
            "LIGHT", "LIGHTS", "LANTERN", "LAMP", "CANDLE", "CANDLES", "T-LIGHT",
        ],
    ),
    ("Christmas", &["CHRISTMAS", "ADVENT", "SNOWMAN", "REINDEER"]),
    (
        "Paper",
        &[
            "CARD", "CARDS", "PAPER", "WRAP", "NOTEBOOK", "STICKERS", "GIFT",
        ],
    ),
    (
        "Toys",
        &[
            "DOLL",
            "TOY",
            "GAME",
            "BUNNY",
            "CHILDRENS",
            "CHILDS",
            "PUPPET",
            "DINOSAUR",
        ],
    ),
    ("Services", &[]),
    ("Home", &[]),
];

impl Books {
    pub(crate) fn rows(&self, path: &str) -> &[Map<String, Value>] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn rows_mut(&mut self, path: &'static str) -> &mut Vec<Map<String, Value>> {
        self.0.entry(path).or_default()
    }

    /// Whether a book has a row of that name, without regard to case.
    pub(crate) fn has(&self, path: &str, key: &str, name: &str) -> bool {
        self.rows(path).iter().any(|row| {
            row.get(key)
                .and_then(Value::as_str)
                .is_some_and(|n| n.eq_ignore_ascii_case(name))
        })
    }
}

/// The books a new account has.
pub(crate) fn opening(currency: &str) -> Books {
    let mut books = Books::default();
    let mut put = |path: &'static str, rows: Vec<Value>| {
        let rows = rows.into_iter().filter_map(|row| match row {
            Value::Object(row) => Some(row),
            _ => None,
        });
        books.0.insert(path, rows.collect());
    };
    let named = |path: &str, names: &[&str]| -> Vec<Value> {
        names
            .iter()
            .map(|name| json!({"ID": id_of(&format!("{path}/{name}")), "Name": name}))
            .collect()
    };
    put(
        "ref/category",
        named("category", &CATEGORIES.map(|(name, _)| name)),
    );
    put("ref/brand", named("brand", &BRANDS));
    put("ref/unit", named("unit", &UNITS));
    let carrier =
        |name: &&str| json!({"CarrierID": id_of(&format!("carrier/{name}")), "Description": name});
    put("ref/carrier", CARRIERS.iter().map(carrier).collect());
    let term = |(at, (name, days)): (usize, &(&str, i64))| {
        json!({"ID": id_of(&format!("term/{name}")), "Name": name, "Duration": days,
               "Method": "number of days", "IsActive": true, "IsDefault": at == 0})
    };
    put(
        "ref/paymentterm",
        TERMS.iter().enumerate().map(term).collect(),
    );
    let purchase = [("20% (VAT on Expenses)", 20)];
    let tax = |(at, (name, percent)): (usize, &(&str, i64))| {
        let sale = at < TAX_RULES.len();
        json!({"ID": id_of(&format!("tax/{name}")), "Name": name, "Account": "820", "IsActive": true,
               "TaxInclusive": false, "TaxPercent": percent, "IsTaxForSale": sale, "IsTaxForPurchase": !sale || *percent == 0,
               "Components": [{"ID": id_of(&format!("tax/{name}/part")), "Name": name,
                   "Percent": format!("{percent}.0000000000"), "AccountCode": "820", "Compound": false,
                   "ComponentOrder": 1}]})
    };
    put(
        "ref/tax",
        TAX_RULES
            .iter()
            .chain(&purchase)
            .enumerate()
            .map(tax)
            .collect(),
    );
    put(
        "ref/account",
        ACCOUNTS.iter().map(|row| account(row, currency)).collect(),
    );
    put(
        "ref/account/bank",
        vec![json!({
        "AccountID": id_of("bank/090"), "Bank": "Mill Bank", "AccountName": "Current account",
        "AccountNumber": "00012345", "AccountCode": "090", "Currency": currency, "StatementBalance": 0,
        "BalanceInDear": 0, "InitialBalance": 0})],
    );
    let mut set = json!({"ID": id_of("attributeset/Gift ware"), "Name": "Gift ware"});
    let names = ["Colour", "Material", "Season", "", "", "", "", "", "", ""];
    for (at, name) in names.iter().enumerate() {
        let kind = if name.is_empty() { "" } else { "Text" };
        set[format!("Attribute{}Name", at + 1)] = json!(name);
        set[format!("Attribute{}Type", at + 1)] = json!(kind);
        set[format!("Attribute{}Values", at + 1)] = json!("");
    }
    set["Attributes"] = names
        .iter()
        .filter(|n| !n.is_empty())
        .map(|n| json!({"Name": n, "Type": "Text", "Values": ""}))
        .collect();
    put("ref/attributeset", vec![set]);
    let person = |name: &str| {
        json!({"ID": id_of(&format!("contact/{name}")), "Name": name, "Type": "Sale",
        "DefaultForType": name == "Morgan Reeve", "Phone": "", "Fax": "", "Email": "sales@example.com", "Website": "",
        "Comment": "", "JobTitle": "", "MobilePhone": ""})
    };
    put(
        "me/contacts",
        vec![person("Morgan Reeve"), person("Sam Weir")],
    );
    put(
        "me/addresses",
        vec![
            json!({"ID": id_of("address/head office"), "Line1": "1 Mill Lane", "Line2": "",
        "CitySuburb": "London", "StateProvince": "", "ZipPostCode": "E1 1AA", "Country": "United Kingdom",
        "Type": "Billing", "DefaultForType": true}),
        ],
    );
    books
}

/// Code, name, type, class, system account, takes payments.
type AccountRow = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    bool,
);

const ACCOUNTS: [AccountRow; 14] = [
    ("090", "Current account", "BANK", "ASSET", None, true),
    ("091", "Card payments", "BANK", "ASSET", None, true),
    ("200", "Sales", "REVENUE", "REVENUE", None, false),
    ("260", "Other revenue", "REVENUE", "REVENUE", None, false),
    (
        "310",
        "Cost of goods sold",
        "DIRECTCOSTS",
        "EXPENSE",
        None,
        false,
    ),
    ("429", "General expenses", "EXPENSE", "EXPENSE", None, false),
    (
        "610",
        "Accounts receivable",
        "CURRENT",
        "ASSET",
        Some("Accounts receivable"),
        false,
    ),
    ("630", "Inventory", "INVENTORY", "ASSET", None, false),
    ("631", "Goods in transit", "CURRENT", "ASSET", None, false),
    ("720", "Finished goods", "INVENTORY", "ASSET", None, false),
    ("721", "Work in progress", "CURRENT", "ASSET", None, false),
    (
        "800",
        "Accounts payable",
        "CURRLIAB",
        "LIABILITY",
        Some("Accounts payable"),
        false,
    ),
    ("820", "VAT", "CURRLIAB", "LIABILITY", None, false),
    ("860", "Rounding", "CURRLIAB", "LIABILITY", None, false),
];

fn account(row: &AccountRow, currency: &str) -> Value {
    let (code, name, kind, class, system, payments) = row;
    json!({"Code": code, "Name": name, "Type": kind, "Status": "ACTIVE", "Description": "", "Class": class,
           "SystemAccount": system, "SystemAccountCode": null, "ForPayments": payments,
           "DisplayName": format!("{code}: {name}"), "OldCode": null,
           "BankAccountNumber": if *kind == "BANK" { json!("00012345") } else { Value::Null },
           "BankAccountId": if *code == "090" { json!(id_of("bank/090")) } else { Value::Null },
           "Currency": currency})
}

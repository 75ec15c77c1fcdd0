//! A simulated company with real orders, its mirror, and the workflows over it.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use http::Method;
use millpond::{
    config::{Loaded, parse},
    environment::Environment,
    instances::open_hot_mirror,
    orders::{Orders, Pace, PlanAsk, PlanView},
};
use mirror::{Mirror, SyncAsk};
use serde_json::{Value, json};
use simulators::cin7::{Account, Cin7, Options};
use store::{Store, testing::TestDatabase};
use tokio_util::sync::CancellationToken;
use upstream::{Call, Class};

use crate::world::{CacheOf, Kind, World};

pub const INSTANCE: &str = "pond";
/// The second company, where there is one.
pub const OTHER: &str = "lake";

/// What the simulated service shows with its webhooks.
pub const HOOK_SECRET: &str = "a-secret-of-the-webhooks";
/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(1);

pub struct Shop {
    pub sim: Cin7,
    pub database: TestDatabase,
    pub mirror: Mirror,
    pub orders: Orders,
    pub account: String,
    cache: CacheOf,
}

/// As patient as tests are.
pub fn pace() -> Pace {
    Pace {
        doubt_pause: Duration::from_millis(5),
        doubt_looks: 2,
        attempts_max: 9,
        ..Pace::default()
    }
}

pub fn config(sim: &Cin7) -> String {
    let instance = |(name, nth): (&str, usize)| {
        format!(
            "[[instance]]\nname = \"{name}\"\nconnector = \"cin7\"\nbase_url = \"{}\"\nprivate_hosts = true\nhook_secret = \"env:SIM_HOOK\"\n\
             timeout = \"2s\"\nlimit = {{ calls = 5000, per = \"1s\" }}\n\
             resources = [\"sale_header\", \"sale\", \"product\", \"availability\", \"location\", \"purchase\", \"assembly\"]\n\
             [[instance.connection]]\nname = \"main\"\n\
             secrets = {{ account_id = \"env:SIM_ACCOUNT{nth}\", application_key = \"env:SIM_KEY{nth}\" }}\n",
            sim.base_url()
        )
    };
    let names = [INSTANCE, OTHER].into_iter().zip(1..);
    names
        .take(sim.options().accounts.len())
        .map(instance)
        .collect()
}

pub fn variables(sim: &Cin7) -> Vec<(String, String)> {
    let accounts = sim.options().accounts.iter().zip(1..);
    let pairs = accounts.flat_map(|(account, nth)| {
        [
            (format!("SIM_ACCOUNT{nth}"), account.account_id.clone()),
            (format!("SIM_KEY{nth}"), account.keys[0].clone()),
        ]
    });
    pairs
        .chain([("SIM_HOOK".to_owned(), HOOK_SECRET.to_owned())])
        .collect()
}

fn environment(sim: &Cin7) -> Environment {
    let variables = variables(sim);
    let pairs: Vec<(&str, &str)> = variables
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    Environment::of(&pairs)
}

fn loaded(sim: &Cin7, cache: &CacheOf, environment: &Environment) -> Loaded {
    let text = format!("{}{}", cache.line(), config(sim));
    parse("shop", &text, Path::new("."), environment).unwrap()
}

impl Shop {
    /// A company with its newest `sales` orders, mirrored.
    pub async fn with_sales(sales: usize) -> Self {
        Self::with(Options {
            accounts: vec![Account {
                sales_max: sales,
                ..Account::gbp()
            }],
            limit: None,
            ..Options::default()
        })
        .await
    }

    pub async fn with(options: Options) -> Self {
        let sim = Cin7::start(options, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .unwrap();
        let account = sim.options().accounts[0].clone();
        let database = TestDatabase::fresh().await;
        let store = Store::from_pool(database.pool());
        let environment = environment(&sim);
        let cache = CacheOf::new(Kind::of_this_run());
        let loaded = loaded(&sim, &cache, &environment);
        let (mirror, _) = open_hot_mirror(&loaded, &environment, store).await.unwrap();
        let orders = Orders::with_pace(mirror.clone(), pace());
        let shop = Self {
            sim,
            database,
            mirror,
            orders,
            account: account.account_id,
            cache,
        };
        shop.sync().await;
        shop
    }

    /// A server over the same database.
    pub async fn serve(&self) -> World {
        let environment = environment(&self.sim);
        let store = Store::from_pool(self.database.pool());
        let loaded = loaded(&self.sim, &self.cache, &environment);
        World::over(store, &loaded, &environment, &[]).await
    }

    pub async fn sync(&self) {
        let report = self
            .mirror
            .sync(SyncAsk::default(), CancellationToken::new(), None)
            .await
            .unwrap();
        assert!(report.complete, "{report:?}");
    }

    pub async fn plan(&self, ask: &PlanAsk) -> PlanView {
        self.orders.plan(ask, "anna").await.unwrap()
    }

    pub async fn approve_and_apply(&self, id: i64) -> PlanView {
        self.orders.approve(id, "anna").await.unwrap();
        self.orders.apply(id, "test").await.unwrap()
    }

    /// A write past the workflows, as a person or another program makes it.
    pub async fn write(&self, method: Method, path: &str, body: Value) -> Value {
        self.write_to(INSTANCE, method, path, body).await
    }

    pub async fn write_to(&self, instance: &str, method: Method, path: &str, body: Value) -> Value {
        let mut call = Call::new(method, path, Class::Read);
        call.body = Some(body.to_string().into());
        let answer = self.mirror.call(instance, call).await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.write(Method::POST, path, body).await
    }

    /// A document as upstream has it.
    pub fn truth(&self, resource: &str, id: &str) -> Value {
        self.sim
            .truth(&self.account)
            .document(resource, id)
            .unwrap_or_else(|| panic!("no {resource} {id}"))
    }

    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.sim
            .truth(&self.account)
            .documents(resource)
            .into_iter()
            .map(|(_, document)| document)
            .collect()
    }

    /// Writes made to the simulator: method and path.
    pub fn writes(&self) -> Vec<String> {
        let calls = self
            .sim
            .wiretap()
            .calls()
            .into_iter()
            .filter(|call| call.method != "GET");
        calls
            .map(|call| format!("{} {}", call.method, call.path))
            .collect()
    }

    /// A new authorised sale at a location: SKU and quantity by line.
    pub async fn sale(&self, location: &str, lines: &[(&str, u32)]) -> (String, String) {
        let id = self.draft(location, lines).await;
        let order = self.order(&id, "AUTHORISED", lines).await;
        (id, order["SaleOrderNumber"].as_str().unwrap().to_owned())
    }

    /// The same, not authorised.
    pub async fn draft(&self, location: &str, lines: &[(&str, u32)]) -> String {
        let head = json!({ "Customer": "walk-in", "Location": location, "SkipQuote": true, "SaleType": "Simple" });
        let sale = self.post("sale", head).await;
        let id = sale["ID"].as_str().unwrap().to_owned();
        self.order(&id, "DRAFT", lines).await;
        id
    }

    /// Writes the order of a sale anew.
    pub async fn order(&self, sale: &str, status: &str, lines: &[(&str, u32)]) -> Value {
        let body = json!({ "SaleID": sale, "Status": status, "Lines": order_lines(lines) });
        self.post("sale/order", body).await
    }

    /// Sets what lies at a location, whatever lay there.
    pub async fn stock(&self, sku: &str, location: &str, units: u32) {
        let body = json!({
            "EffectiveDate": "2026-01-05T00:00:00", "Status": "COMPLETED", "Account": "310", "UpdateOnHand": true,
            "Lines": [{ "SKU": sku, "Quantity": units, "UnitCost": 1, "Location": location }],
        });
        self.post("stockadjustment", body).await;
    }

    /// Takes a SKU off every shelf.
    pub async fn empty(&self, sku: &str) {
        let rows = self.all("ref/productavailability");
        for row in rows
            .iter()
            .filter(|row| row["SKU"] == sku && row["OnHand"].as_f64() > Some(0.0))
        {
            let place = row["Location"].as_str().unwrap();
            let place = row["Bin"]
                .as_str()
                .map_or(place.to_owned(), |bin| format!("{place}: {bin}"));
            self.stock(sku, &place, 0).await;
        }
    }

    /// Plain products that do not lie at Glasgow yet.
    pub fn plain_skus(&self, count: usize) -> Vec<String> {
        let rows = self.all("ref/productavailability");
        let there: HashSet<&str> = rows
            .iter()
            .filter(|row| row["Location"] == "Glasgow")
            .filter_map(|row| row["SKU"].as_str())
            .collect();
        let products = self.all("product");
        let plain = products.iter().filter(|product| {
            product["Type"] == "Stock"
                && product["CostingMethod"] == "FIFO"
                && product["Status"] == "Active"
        });
        let kits: HashSet<String> = self
            .kits()
            .into_iter()
            .map(|kit| kit["SKU"].as_str().unwrap().to_owned())
            .collect();
        let skus = plain.filter_map(|product| product["SKU"].as_str());
        let skus: Vec<String> = skus
            .filter(|sku| !there.contains(sku) && !kits.contains(*sku))
            .take(count)
            .map(str::to_owned)
            .collect();
        assert_eq!(skus.len(), count, "too few plain products");
        skus
    }

    /// Products with a bill, bills included.
    pub fn kits(&self) -> Vec<Value> {
        let all = self
            .sim
            .truth(&self.account)
            .documents_with("product", &[("IncludeBOM", "true")]);
        all.into_iter()
            .map(|(_, product)| product)
            .filter(|product| product["BillOfMaterial"] == true)
            .collect()
    }

    /// The id of the row of a SKU at a location in the mirror.
    pub async fn node(&self, sku: &str, location: &str) -> String {
        sqlx::query_scalar(
            "SELECT id FROM cin7.availability WHERE body->>'SKU' = $1 AND body->>'Location' = $2",
        )
        .bind(sku)
        .bind(location)
        .fetch_one(&self.database.pool())
        .await
        .unwrap()
    }

    /// A delete past the workflows.
    pub async fn delete(&self, path: &str, query: &str) {
        let mut call = Call::new(Method::DELETE, path, Class::Read);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        call.query = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        self.mirror.call(INSTANCE, call).await.unwrap();
    }

    /// On hand of a SKU at a location, upstream's truth.
    pub fn on_hand(&self, sku: &str, location: &str) -> f64 {
        let rows = self.all("ref/productavailability");
        let rows = rows
            .iter()
            .filter(|row| row["SKU"] == sku && row["Location"] == location);
        rows.map(|row| row["OnHand"].as_f64().unwrap()).sum()
    }
}

pub fn order_lines(lines: &[(&str, u32)]) -> Vec<Value> {
    let line = |(sku, qty): &(&str, u32)| json!({ "SKU": sku, "Name": sku, "Quantity": qty, "Price": 2.5, "Tax": 0, "TaxRule": "Tax Exempt" });
    lines.iter().map(line).collect()
}

/// Everything open, through to the invoice.
pub fn everything() -> PlanAsk {
    PlanAsk {
        through: millpond::orders::Through::Invoice,
        may_convert: true,
        ..PlanAsk::of(INSTANCE)
    }
}

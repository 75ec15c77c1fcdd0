//! An order in one company, the stock in another: a sale there, a purchase here, and nothing twice.

use http::Method;
use millpond::orders::{OrdersError, PlanAsk, PlanView, Serves, Through};
use serde_json::{Value, json};
use simulators::cin7::{Account, FaultPlan, Options};

use super::shop::{INSTANCE, OTHER, POLL, Shop, order_lines};

/// What is written for another company, in this order.
const STEPS: [&str; 8] = [
    "sell",
    "sell_order",
    "buy",
    "buy_order",
    "task",
    "pick",
    "pack",
    "ship",
];

struct Pair {
    shop: Shop,
    sku: String,
    customer: String,
    supplier: String,
}

impl Pair {
    /// Two companies, and something that only the first has: 10 at Glasgow.
    async fn new() -> Self {
        let few = |account: Account| Account {
            sales_max: 20,
            ..account
        };
        let shop = Shop::with(Options {
            accounts: vec![few(Account::gbp()), few(Account::eur())],
            limit: None,
            ..Options::default()
        })
        .await;
        let truth = shop.sim.truth(&Account::eur().account_id);
        let expected: Vec<String> = truth
            .documents("advanced-purchase")
            .into_iter()
            .flat_map(|(_, purchase)| {
                purchase["Order"]["Lines"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            })
            .filter_map(|line| line["SKU"].as_str().map(str::to_owned))
            .collect();
        let name = |document: &Value| document["Name"].as_str().unwrap().to_owned();
        let customer = name(&shop.all("customer")[0]);
        let supplier = name(&truth.documents("supplier")[0].1);
        let skus = shop.plain_skus(12);
        let sku = skus
            .into_iter()
            .find(|sku| !expected.contains(sku))
            .unwrap();
        // It lies nowhere in the second company.
        for row in truth.documents("ref/productavailability") {
            let row = row.1;
            if row["SKU"] == *sku && row["OnHand"].as_f64() > Some(0.0) {
                let place = row["Location"].as_str().unwrap();
                let place = row["Bin"]
                    .as_str()
                    .map_or(place.to_owned(), |bin| format!("{place}: {bin}"));
                let body = json!({
                    "EffectiveDate": "2026-01-05T00:00:00", "Status": "COMPLETED", "Account": "310", "UpdateOnHand": true,
                    "Lines": [{ "SKU": sku, "Quantity": 0, "UnitCost": 1, "Location": place }],
                });
                shop.write_to(OTHER, Method::POST, "stockadjustment", body)
                    .await;
            }
        }
        Self {
            shop,
            sku,
            customer,
            supplier,
        }
    }

    /// A new order of the second company for 4, and the plan of the first that serves it.
    async fn plan(&self) -> (String, PlanView) {
        let shop = &self.shop;
        shop.empty(&self.sku).await;
        shop.stock(&self.sku, "Glasgow", 10).await;
        let head = json!({ "Customer": "walk-in", "Location": "Leeds", "SkipQuote": true, "SaleType": "Simple" });
        let sale = shop.write_to(OTHER, Method::POST, "sale", head).await;
        let body = json!({ "SaleID": sale["ID"], "Status": "AUTHORISED", "Lines": order_lines(&[(&self.sku, 4)]) });
        let order = shop.write_to(OTHER, Method::POST, "sale/order", body).await;
        let number = order["SaleOrderNumber"].as_str().unwrap().to_owned();
        shop.sync().await;
        let view = shop.plan(&self.ask(&number)).await;
        (number, view)
    }

    fn ask(&self, number: &str) -> PlanAsk {
        PlanAsk {
            through: Through::Ship,
            serves: Some(Serves {
                instance: OTHER.to_owned(),
                orders: [number.to_owned()].into(),
                customer: self.customer.clone(),
                supplier: self.supplier.clone(),
                location: None,
                days: 3,
                sale_tax_rule: "Tax Exempt".to_owned(),
                purchase_tax_rule: "Tax Exempt".to_owned(),
            }),
            ..PlanAsk::of(INSTANCE)
        }
    }

    /// Sales of the first company and purchases of the second for this order, those that are void aside.
    fn papers(&self, number: &str) -> (Vec<Value>, Vec<Value>) {
        let sales = self.shop.all("sale").into_iter().filter(|sale| {
            sale["CustomerReference"] == format!("{OTHER}/{number}") && sale["Status"] != "VOIDED"
        });
        let truth = self.shop.sim.truth(&Account::eur().account_id);
        let purchases = truth
            .documents("advanced-purchase")
            .into_iter()
            .map(|(_, p)| p)
            .filter(|p| {
                let note = p["Note"].as_str().unwrap_or_default();
                note.starts_with(&format!("for {number} ")) && p["Status"] != "VOIDED"
            });
        (sales.collect(), purchases.collect())
    }

    fn written_once(&self, number: &str, what: &str) {
        let (sales, purchases) = self.papers(number);
        assert_eq!((sales.len(), purchases.len()), (1, 1), "{what}");
        let (sale, purchase) = (&sales[0], &purchases[0]);
        let fulfilments = sale["Fulfilments"].as_array().unwrap();
        assert_eq!(fulfilments.len(), 1, "{what}");
        assert_eq!(fulfilments[0]["Ship"]["Status"], "AUTHORISED", "{what}");
        assert_eq!(sale["Customer"], self.customer, "{what}");
        assert_eq!(purchase["Supplier"], self.supplier, "{what}");
        assert_eq!(purchase["Location"], "Leeds", "{what}");
        assert_eq!(purchase["Order"]["Status"], "AUTHORISED", "{what}");
        for lines in [&sale["Order"]["Lines"], &purchase["Order"]["Lines"]] {
            assert_eq!(lines.as_array().unwrap().len(), 1, "{what}");
            assert_eq!(
                (lines[0]["SKU"].as_str(), lines[0]["Quantity"].as_f64()),
                (Some(self.sku.as_str()), Some(4.0)),
                "{what}"
            );
        }
        let prices =
            [&sale["Order"], &purchase["Order"]].map(|order| order["Lines"][0]["Price"].as_f64());
        assert_eq!(prices[0], prices[1], "{what}");
        assert_eq!(self.shop.on_hand(&self.sku, "Glasgow"), 6.0, "{what}");
    }

    async fn insist(&self, plan: i64) -> PlanView {
        for _ in 0..60 {
            sqlx::query("UPDATE millpond.order_plan SET lease_until = now() - interval '1 s' WHERE state = 'applying'")
                .execute(&self.shop.database.pool())
                .await
                .unwrap();
            match self.shop.orders.apply(plan, "test").await {
                Ok(view) => return view,
                Err(OrdersError::Paused { .. } | OrdersError::Mirror(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("plan {plan} does not end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_what_one_company_lacks_another_sells_to_it() {
    let pair = Pair::new().await;
    let shop = &pair.shop;
    shop.sim.wiretap().clear();
    let (number, view) = pair.plan().await;
    assert_eq!(view.row.op, "cross");
    assert_eq!(
        view.shipments.len(),
        1,
        "{:?} {:?}",
        view.short,
        view.left_out
    );
    let writes: Vec<(&str, Option<&str>)> = view.shipments[0]
        .writes
        .iter()
        .map(|w| (w.step, w.instance.as_deref()))
        .collect();
    let expected = STEPS.map(|step| (step, step.starts_with("buy").then_some(OTHER)));
    assert_eq!(writes, expected);
    shop.orders.approve(view.row.id, "anna").await.unwrap();
    // Approved, it is not proposed again.
    let again = shop.plan(&pair.ask(&number)).await;
    assert!(again.shipments.is_empty(), "{:#?}", again.shipments);
    let view = pair.insist(view.row.id).await;
    assert_eq!(view.row.state, "done", "{:#?}", view.shipments);
    pair.written_once(&number, "the first time");
    let writes = shop.writes().len();
    pair.insist(view.row.id).await;
    assert_eq!(
        shop.writes().len(),
        writes,
        "applied again, nothing is written"
    );

    // The buyer knows what is on its way, promises it, and lacks nothing more.
    let mut theirs = PlanAsk::of(OTHER);
    theirs.orders.insert(number.clone());
    shop.plan(&theirs).await;
    let claims = shop.orders.claims(OTHER, Some(&number)).await.unwrap();
    let claimed: Vec<(&str, i64)> = claims.iter().map(|c| (&c.node[..3], c.qty)).collect();
    assert_eq!(claimed, [("PO-", 4)], "{claims:#?}");
    let again = shop.plan(&pair.ask(&number)).await;
    assert!(again.shipments.is_empty(), "{:#?}", again.shipments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_both_papers_are_there_once_or_not_at_all_whatever_happens() {
    let pair = Pair::new().await;
    let shop = &pair.shop;
    for (at, step) in STEPS.iter().enumerate() {
        let only = FaultPlan {
            only_write: Some(at as u64 + 1),
            ..FaultPlan::default()
        };
        let lost = [
            (
                "500 before the work",
                FaultPlan {
                    status_every: Some((1, 500)),
                    ..only.clone()
                },
            ),
            (
                "cut after the work",
                FaultPlan {
                    reset_every: Some(1),
                    ..only.clone()
                },
            ),
            (
                "half of the answer",
                FaultPlan {
                    torn_json_every: Some(1),
                    ..only.clone()
                },
            ),
            (
                "answered and not done",
                FaultPlan {
                    not_applied_every: Some(1),
                    ..only.clone()
                },
            ),
        ];
        for (name, faults) in lost {
            let what = format!("{step}: {name}");
            let (number, view) = pair.plan().await;
            shop.orders.approve(view.row.id, "anna").await.unwrap();
            shop.sim.faults().set(faults);
            let view = pair.insist(view.row.id).await;
            shop.sim.faults().clear();
            assert_eq!(view.row.state, "done", "{what}: {:#?}", view.shipments);
            pair.written_once(&number, &what);
        }
        // Refused: both are void again, as long as nothing is picked.
        let (number, view) = pair.plan().await;
        shop.orders.approve(view.row.id, "anna").await.unwrap();
        shop.sim.faults().set(FaultPlan {
            status_every: Some((1, 400)),
            ..only.clone()
        });
        let view = pair.insist(view.row.id).await;
        shop.sim.faults().clear();
        let what = format!("{step} was refused: {:#?}", view.shipments);
        let (sales, purchases) = pair.papers(&number);
        if at <= 5 {
            assert_eq!(view.shipments[0].state, "dropped", "{what}");
            assert_eq!((sales.len(), purchases.len()), (0, 0), "{what}");
            assert_eq!(shop.on_hand(&pair.sku, "Glasgow"), 10.0, "{what}");
        } else {
            assert_eq!(view.shipments[0].state, "needs_person", "{what}");
            assert_eq!((sales.len(), purchases.len()), (1, 1), "{what}");
            continue;
        }
        // Cut off on the way, and gone on with.
        let (number, view) = pair.plan().await;
        let plan = view.row.id;
        shop.orders.approve(plan, "anna").await.unwrap();
        shop.sim.faults().set(FaultPlan {
            slow_every: Some((1, 60_000)),
            ..only
        });
        shop.sim.wiretap().clear();
        let orders = shop.orders.clone();
        let apply = tokio::spawn(async move { orders.apply(plan, "first").await });
        while shop.writes().len() < at + 1 && !apply.is_finished() {
            tokio::time::sleep(POLL).await;
        }
        apply.abort();
        let _ = apply.await;
        shop.sim.faults().clear();
        let view = pair.insist(plan).await;
        assert_eq!(
            view.row.state, "done",
            "{step} was cut off: {:#?}",
            view.shipments
        );
        pair.written_once(&number, step);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_a_company_does_not_sell_what_its_own_orders_need_nor_to_itself() {
    let pair = Pair::new().await;
    let shop = &pair.shop;
    let (number, _) = pair.plan().await;
    // Its own order for 8 of 10 goes first: 2 are left to sell.
    shop.sale("Glasgow", &[(&pair.sku, 8)]).await;
    shop.sync().await;
    let view = shop.plan(&pair.ask(&number)).await;
    assert_eq!(view.shipments.len(), 1, "{:#?}", view.short);
    assert_eq!(
        view.shipments[0].lines[0]["qty"], 2,
        "{:#?}",
        view.shipments
    );
    // Sold elsewhere between plan and apply: nothing is entered anywhere.
    shop.orders.approve(view.row.id, "anna").await.unwrap();
    shop.stock(&pair.sku, "Glasgow", 8).await;
    shop.sim.wiretap().clear();
    let view = pair.insist(view.row.id).await;
    assert_eq!(
        view.shipments[0].code.as_deref(),
        Some("STALE"),
        "{:#?}",
        view.shipments
    );
    assert!(shop.writes().is_empty(), "{:?}", shop.writes());

    let mut ask = pair.ask(&number);
    ask.instance = OTHER.to_owned();
    let told = shop.orders.plan(&ask, "anna").await;
    assert!(matches!(told, Err(OrdersError::Name(_))), "{told:?}");
}

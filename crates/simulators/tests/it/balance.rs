//! Stock accounting, checked from the documents alone: what is allocated is what open orders hold, what is on hand is what
//! moved, what is on order and in transit is what open purchases and transfers say.

use crate::client::{Sim, decimal, sim_with, text};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulators::cin7::{OnHandFalls, Options};
use std::collections::BTreeMap;

type Sums = BTreeMap<(String, String), Decimal>;

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn warehouse(location: &str) -> String {
    location.split(": ").next().unwrap_or_default().to_owned()
}

/// Panics with the first difference.
pub fn check(sim: &Sim, falls: OnHandFalls) {
    let truth = sim.cin7.truth(sim.id());
    let every = [("IncludeDeprecated", "true"), ("IncludeMovements", "true")];
    let products: BTreeMap<String, Value> = truth
        .documents_with("product", &every)
        .into_iter()
        .collect();
    let (mut allocated, mut on_hand, mut on_order, mut in_transit): (Sums, Sums, Sums, Sums) =
        Default::default();
    for (id, row) in truth.documents("ref/productavailability") {
        let key = (text(&row, "ID"), text(&row, "Location"));
        *allocated.entry(key.clone()).or_default() += decimal(&row["Allocated"]);
        *on_hand
            .entry((text(&row, "ID"), String::new()))
            .or_default() += decimal(&row["OnHand"]);
        on_order.insert(key.clone(), decimal(&row["OnOrder"]));
        in_transit.insert(key, decimal(&row["InTransit"]));
        assert_eq!(
            decimal(&row["Available"]),
            decimal(&row["OnHand"]) - decimal(&row["Allocated"]),
            "{id}"
        );
        assert!(
            decimal(&row["OnHand"]) >= Decimal::ZERO && decimal(&row["Allocated"]) >= Decimal::ZERO,
            "{row}"
        );
    }
    let shown = |id: &str| products[id]["Status"] == "Active";
    let compare = |what: &str, mut expected: Sums, found: &Sums| {
        expected.retain(|(id, _), quantity| !quantity.is_zero() && shown(id));
        let found: Sums = found
            .iter()
            .filter(|(_, q)| !q.is_zero())
            .map(|(k, q)| (k.clone(), *q))
            .collect();
        let differ = expected.iter().find(|(k, q)| found.get(*k) != Some(*q));
        assert!(
            differ.is_none(),
            "{what}: expected {differ:?}, found {:?}",
            differ.and_then(|(k, _)| found.get(k))
        );
        let extra = found.iter().find(|(k, _)| !expected.contains_key(*k));
        assert!(extra.is_none(), "{what}: unexpected {extra:?}");
    };
    compare("allocated", held(sim, &products, falls), &allocated);
    let mut moved = Sums::new();
    for (id, product) in &products {
        for movement in rows(&product["Movements"]) {
            *moved.entry((id.clone(), String::new())).or_default() +=
                decimal(&movement["Quantity"]);
        }
    }
    compare("on hand", moved, &on_hand);
    let mut ordered = Sums::new();
    for (_, purchase) in truth.documents("advanced-purchase") {
        if purchase["Order"]["Status"] != "AUTHORISED" {
            continue;
        }
        let mut due: BTreeMap<String, Decimal> = BTreeMap::new();
        for line in rows(&purchase["Order"]["Lines"])
            .filter(|l| products[&text(l, "ProductID")]["Type"] == "Stock")
        {
            *due.entry(text(line, "ProductID")).or_default() += decimal(&line["Quantity"]);
        }
        for receipt in rows(&purchase["PutAway"]).filter(|r| r["Status"] == "AUTHORISED") {
            for line in rows(&receipt["Lines"]) {
                let left = due.entry(text(line, "ProductID")).or_default();
                *left = (*left - decimal(&line["Quantity"])).max(Decimal::ZERO);
            }
        }
        for (id, left) in due {
            *ordered
                .entry((id, text(&purchase, "Location")))
                .or_default() += left;
        }
    }
    compare("on order", ordered, &on_order);
    let mut coming = Sums::new();
    for (_, transfer) in truth
        .documents("stockTransfer")
        .into_iter()
        .filter(|(_, t)| t["Status"] == "IN TRANSIT")
    {
        for line in rows(&transfer["Lines"]) {
            let key = (
                text(line, "ProductID"),
                warehouse(&text(&transfer, "ToLocation")),
            );
            *coming.entry(key).or_default() += decimal(&line["TransferQuantity"]);
        }
    }
    compare("in transit", coming, &in_transit);
}

/// What open sales hold, by product and warehouse.
fn held(sim: &Sim, products: &BTreeMap<String, Value>, falls: OnHandFalls) -> Sums {
    let mut held = Sums::new();
    for (id, sale) in sim.cin7.truth(sim.id()).documents("sale") {
        if sale["Order"]["Status"] != "AUTHORISED" {
            continue;
        }
        let mut own: BTreeMap<String, Decimal> = BTreeMap::new();
        for line in rows(&sale["Order"]["Lines"]) {
            let product = text(line, "ProductID");
            assert!(
                decimal(&line["BackorderQuantity"]) <= decimal(&line["Quantity"]),
                "{id}"
            );
            if products[&product]["Type"] == "Stock" && line["DropShip"] == false {
                *own.entry(product).or_default() +=
                    decimal(&line["Quantity"]) - decimal(&line["BackorderQuantity"]);
            }
        }
        let stage = if falls == OnHandFalls::Pick {
            "Pick"
        } else {
            "Ship"
        };
        for f in rows(&sale["Fulfilments"]).filter(|f| f[stage]["Status"] == "AUTHORISED") {
            for line in rows(&f["Pick"]["Lines"]) {
                let left = own.entry(text(line, "ProductID")).or_default();
                *left = (*left - decimal(&line["Quantity"])).max(Decimal::ZERO);
            }
        }
        for (product, quantity) in own {
            *held.entry((product, text(&sale, "Location"))).or_default() += quantity;
        }
    }
    held
}

#[tokio::test]
async fn a_fresh_account_balances() {
    for on_hand_falls_at in [OnHandFalls::Pick, OnHandFalls::Ship] {
        let sim = sim_with(Options {
            on_hand_falls_at,
            ..Options::for_testing()
        })
        .await;
        check(&sim, on_hand_falls_at);
    }
}

#[tokio::test]
async fn hundreds_of_scripted_events_keep_the_balance() {
    for (seed, on_hand_falls_at) in [(1, OnHandFalls::Pick), (3, OnHandFalls::Ship)] {
        println!("seed {seed}");
        let sim = sim_with(Options {
            seed,
            on_hand_falls_at,
            ..Options::for_testing()
        })
        .await;
        for _ in 0..3 {
            sim.cin7.tick(sim.id(), 120);
            check(&sim, on_hand_falls_at);
        }
    }
}

/// One write of a client, with numbers that choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Sell(usize, usize, u32),
    Fulfil(usize),
    Void(usize),
    Undo(usize),
    Unpick(usize),
    Transfer(usize, u32, bool),
    Complete(usize, bool),
    Count(usize, u32),
    Uncount(usize),
    Assemble(usize, u32),
    Disassemble(usize),
    VoidAssembly(usize),
    Tick(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let n = 0..1000_usize;
    prop_oneof![
        4 => (n.clone(), n.clone(), 1..30_u32).prop_map(|(a, b, q)| Act::Sell(a, b, q)),
        6 => n.clone().prop_map(Act::Fulfil),
        2 => n.clone().prop_map(Act::Void),
        1 => n.clone().prop_map(Act::Undo),
        2 => n.clone().prop_map(Act::Unpick),
        2 => (n.clone(), 1..9_u32, any::<bool>()).prop_map(|(a, q, now)| Act::Transfer(a, q, now)),
        2 => (n.clone(), any::<bool>()).prop_map(|(a, void)| Act::Complete(a, void)),
        2 => (n.clone(), 0..60_u32).prop_map(|(a, q)| Act::Count(a, q)),
        1 => n.clone().prop_map(Act::Uncount),
        2 => (n.clone(), 1..4_u32).prop_map(|(a, q)| Act::Assemble(a, q)),
        1 => n.clone().prop_map(Act::Disassemble),
        1 => n.prop_map(Act::VoidAssembly),
        1 => (1..5_usize).prop_map(Act::Tick),
    ]
}

fn pick(all: &[(String, Value)], n: usize) -> Option<&(String, Value)> {
    if all.is_empty() {
        None
    } else {
        Some(&all[n % all.len()])
    }
}

/// Plays one act; refusals are fine, crashes and imbalances are not.
async fn play(sim: &Sim, goods: &[(String, Value)], act: &Act) {
    let truth = sim.cin7.truth(sim.id());
    let go = async |method: &str, path: &str, body: Option<Value>| {
        let answer = sim.call(method, path, body.as_ref()).await;
        assert!(
            answer.status == 200 || answer.status == 400,
            "{method} {path}: {} {}",
            answer.status,
            answer.text
        );
        answer
    };
    match act {
        Act::Sell(a, b, q) => {
            let sale = go(
                "POST",
                "sale",
                Some(
                    json!({"Customer": "Walk-in", "Location": "Main Warehouse", "SkipQuote": true,
                "SaleType": if a % 2 == 0 { "Simple" } else { "Advanced" }}),
                ),
            )
            .await
            .json();
            let line = |n: usize| json!({"ProductID": goods[n % goods.len()].0, "Quantity": q, "Price": 2});
            let mode = ["NOPICK", "AUTOPICK", "AUTOPICKPACK", "AUTOPICKPACKSHIP"][b % 4];
            go("POST", "sale/order", Some(json!({"SaleID": sale["ID"], "Status": "AUTHORISED", "AutoPickPackShipMode": mode,
                "Lines": [line(*a), line(*b), line(*a)]}))).await;
        }
        Act::Fulfil(n) => {
            let open: Vec<_> = truth
                .documents("sale")
                .into_iter()
                .filter(|(_, s)| s["Order"]["Status"] == "AUTHORISED")
                .take(40)
                .collect();
            let Some((id, sale)) = pick(&open, *n) else {
                return;
            };
            let waiting = rows(&sale["Fulfilments"])
                .find(|f| f["Pick"]["Status"] == "DRAFT")
                .map(|f| f["TaskID"].clone());
            let task = match waiting {
                Some(task) => task,
                None => match go("POST", "sale/fulfilment", Some(json!({"SaleID": id}))).await {
                    answer if answer.status == 200 => {
                        rows(&answer.json()["Fulfilments"]).last().unwrap()["TaskID"].clone()
                    }
                    _ => return,
                },
            };
            let picked = go(
                "POST",
                "sale/fulfilment/pick",
                Some(json!({"TaskID": task, "AutoPickMode": "AUTOPICK"})),
            )
            .await;
            if picked.status == 200 && n % 2 == 0 {
                let lines: Vec<Value> = rows(&picked.json()["Lines"])
                    .map(|l| {
                        let mut l = l.clone();
                        l["Box"] = json!("Box 1");
                        l
                    })
                    .collect();
                go(
                    "POST",
                    "sale/fulfilment/pack",
                    Some(json!({"TaskID": task, "Status": "AUTHORISED", "Lines": lines})),
                )
                .await;
                let ship = json!({"TaskID": task, "Status": "AUTHORISED", "Lines": [{"Box": "Box 1", "IsShipped": true}]});
                go("POST", "sale/fulfilment/ship", Some(ship)).await;
            }
        }
        Act::Void(n) | Act::Undo(n) => {
            let all = truth.documents("saleList");
            let Some((id, _)) = pick(&all, *n) else {
                return;
            };
            go(
                "DELETE",
                &format!("sale?ID={id}&Void={}", matches!(act, Act::Void(_))),
                None,
            )
            .await;
        }
        Act::Unpick(n) => {
            let all: Vec<_> = truth
                .documents("sale")
                .into_iter()
                .filter(|(_, s)| {
                    rows(&s["Fulfilments"]).any(|f| f["Pick"]["Status"] == "AUTHORISED")
                })
                .collect();
            let Some((_, sale)) = pick(&all, *n) else {
                return;
            };
            let task = text(&sale["Fulfilments"][0], "TaskID");
            go(
                "DELETE",
                &format!("sale/fulfilment?TaskID={task}&Void={}", n % 2 == 0),
                None,
            )
            .await;
        }
        Act::Transfer(n, q, now) => {
            let product = &goods[n % goods.len()].1;
            go("POST", "stockTransfer", Some(json!({"Status": if *now { "COMPLETED" } else { "IN TRANSIT" }, "FromLocation": "Main Warehouse",
                "ToLocation": "Leeds", "InTransitAccount": "631", "DepartureDate": "2026-01-03", "Lines": [{"SKU": product["SKU"], "TransferQuantity": q}]}))).await;
        }
        Act::Complete(n, void) => {
            let all = truth.documents("stockTransfer");
            let Some((id, _)) = pick(&all, *n) else {
                return;
            };
            match void {
                true => {
                    go(
                        "DELETE",
                        &format!("stockTransfer?ID={id}&Void={}", n % 2 == 0),
                        None,
                    )
                    .await
                }
                false => {
                    go(
                        "PUT",
                        "stockTransfer",
                        Some(json!({"TaskID": id, "Status": "COMPLETED"})),
                    )
                    .await
                }
            };
        }
        Act::Count(n, q) => {
            let rows: Vec<_> = truth
                .documents("ref/productavailability")
                .into_iter()
                .filter(|(_, r)| r["Batch"].is_null())
                .collect();
            let Some((_, row)) = pick(&rows, *n) else {
                return;
            };
            let place = row["Bin"].as_str().map_or(text(row, "Location"), |bin| {
                format!("{}: {bin}", text(row, "Location"))
            });
            go("POST", "stockadjustment", Some(json!({"Status": "COMPLETED", "EffectiveDate": "2026-01-03", "Account": "429",
                "UpdateOnHand": true, "Lines": [{"ProductID": row["ID"], "Quantity": q, "Location": place}]}))).await;
        }
        Act::Uncount(n) => {
            let all = truth.documents("stockadjustment");
            let Some((id, _)) = pick(&all, *n) else {
                return;
            };
            go(
                "DELETE",
                &format!("stockadjustment?ID={id}&Void=true"),
                None,
            )
            .await;
        }
        Act::Assemble(n, q) => {
            let kits: Vec<_> = goods
                .iter()
                .filter(|(_, p)| p["BillOfMaterial"] == true)
                .cloned()
                .collect();
            let Some((id, _)) = pick(&kits, *n) else {
                return;
            };
            go("POST", "finishedGoods", Some(json!({"Status": "COMPLETED", "ProductID": id, "Location": "Main Warehouse", "WIPAccount": "721",
                "Account": "720", "Quantity": q, "WIPDate": "2026-01-03", "CompletionDate": "2026-01-03"}))).await;
        }
        Act::Disassemble(n) => {
            let kits: Vec<_> = goods
                .iter()
                .filter(|(_, p)| p["BillOfMaterial"] == true)
                .cloned()
                .collect();
            let Some((id, _)) = pick(&kits, *n) else {
                return;
            };
            go("POST", "disassembly", Some(json!({"Status": "COMPLETED", "ProductID": id, "Location": "Main Warehouse", "WIPAccount": "721", "Quantity": 1}))).await;
        }
        Act::VoidAssembly(n) => {
            let all = truth.documents("finishedGoods");
            let Some((id, _)) = pick(&all, *n) else {
                return;
            };
            go("DELETE", &format!("finishedGoods?ID={id}&Void=true"), None).await;
        }
        Act::Tick(n) => sim.cin7.tick(sim.id(), *n),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 30, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_of_writes_upsets_the_balance(acts in prop::collection::vec(act(), 1..40), ship in any::<bool>()) {
        let falls = if ship { OnHandFalls::Ship } else { OnHandFalls::Pick };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut options = Options { on_hand_falls_at: falls, fulfilment_delete_applies: true, ..Options::for_testing() };
            options.accounts.truncate(1);
            options.accounts[0].sales_max = 15;
            let sim = sim_with(options).await;
            let active = |value: &Value| value["Status"] == "Active" && value["Type"] == "Stock" && value["CostingMethod"] == "FIFO";
            let goods = sim.cin7.truth(sim.id()).documents("product").into_iter().filter(|(_, p)| active(p)).collect::<Vec<_>>();
            for (nth, act) in acts.iter().enumerate() {
                play(&sim, &goods, act).await;
                if nth % 6 == 5 || nth + 1 == acts.len() {
                    check(&sim, falls);
                }
            }
        });
    }
}

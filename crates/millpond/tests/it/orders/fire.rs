//! Every step of a shipment under every fault, one at a time: an order that is authorised, assembled, picked, packed,
//! shipped and invoiced.

use std::collections::BTreeMap;

use millpond::orders::{OrdersError, PlanAsk, PlanView};
use serde_json::Value;
use simulators::cin7::FaultPlan;

use super::shop::{INSTANCE, POLL, Shop, everything};

/// What is written for the order, in this order.
pub const STEPS: [&str; 8] = [
    "authorise",
    "task",
    "assemble",
    "complete",
    "pick",
    "pack",
    "ship",
    "invoice",
];
/// The step after which stock is committed.
const PICK: usize = 5;
/// Kits and plain units of the order; all parts and units that there are.
const KITS: u32 = 2;
const UNITS: u32 = 3;
const THERE: u32 = 60;

/// A shop with a kit whose parts lie at Glasgow, and beside them something plain.
pub struct Bench {
    pub shop: Shop,
    kit: String,
    parts: BTreeMap<String, f64>,
    plain: String,
}

/// An order of the bench and its approved plan.
pub struct Job {
    pub plan: i64,
    pub sale: String,
}

impl Bench {
    pub async fn new() -> Self {
        let shop = Shop::with_sales(20).await;
        let flat = |kit: &&Value| {
            let parts = kit["BillOfMaterialsProducts"].as_array().unwrap();
            let wasted = |part: &Value| {
                part["WastagePercent"].as_f64() > Some(0.0)
                    || part["WastageQuantity"].as_f64() > Some(0.0)
            };
            kit["AutoAssembly"] == true
                && kit["CostingMethod"] == "FIFO"
                && kit["QuantityToProduce"].as_f64() == Some(1.0)
                && parts.len() > 1
                && !parts.iter().any(wasted)
        };
        let kits = shop.kits();
        let is_kit = |sku: &Value| kits.iter().any(|kit| kit["SKU"] == *sku);
        let kit = kits
            .iter()
            .filter(flat)
            .find(|kit| {
                let parts = kit["BillOfMaterialsProducts"].as_array().unwrap();
                !parts.iter().any(|part| is_kit(&part["ProductCode"]))
            })
            .expect("a kit of plain parts");
        let parts = kit["BillOfMaterialsProducts"].as_array().unwrap();
        let parts = parts.iter().map(|part| {
            let sku = part["ProductCode"].as_str().unwrap().to_owned();
            (sku, part["Quantity"].as_f64().unwrap())
        });
        let plain = shop.plain_skus(1).remove(0);
        let bench = Self {
            kit: kit["SKU"].as_str().unwrap().to_owned(),
            parts: parts.collect(),
            plain,
            shop,
        };
        assert!(!bench.parts.contains_key(&bench.plain));
        for sku in bench.parts.keys().chain([&bench.kit, &bench.plain]) {
            bench.shop.empty(sku).await;
        }
        bench
    }

    /// A new draft for kits and units that ship from Glasgow, planned and approved. Its home is elsewhere, where nothing
    /// lies: upstream cannot assemble for it.
    pub async fn job(&self) -> Job {
        self.job_of("Leeds").await
    }

    async fn job_of(&self, home: &str) -> Job {
        let shop = &self.shop;
        for sku in self.parts.keys().chain([&self.plain]) {
            shop.stock(sku, "Glasgow", THERE).await;
        }
        shop.empty(&self.kit).await;
        let lines = [(self.kit.as_str(), KITS), (self.plain.as_str(), UNITS)];
        let sale = shop.draft(home, &lines).await;
        shop.sync().await;
        let number = shop.truth("sale", &sale)["Order"]["SaleOrderNumber"].clone();
        let mut ask = PlanAsk {
            drafts: true,
            ..everything()
        };
        ask.orders.insert(number.as_str().unwrap().to_owned());
        ask.rules.complete = Some(orders::input::Complete::Order);
        ask.rules.ship_from = Some(vec!["Glasgow".to_owned()]);
        let view = shop.plan(&ask).await;
        assert_eq!(
            view.shipments.len(),
            1,
            "{:?} {:?}",
            view.short,
            view.left_out
        );
        let planned: Vec<&str> = view.shipments[0].writes.iter().map(|w| w.step).collect();
        assert_eq!(planned, STEPS);
        shop.orders.approve(view.row.id, "anna").await.unwrap();
        Job {
            plan: view.row.id,
            sale,
        }
    }

    /// Applies until the plan is through, as somebody does who starts it again after each failure.
    pub async fn insist(&self, plan: i64) -> PlanView {
        for _ in 0..60 {
            self.expire_leases().await;
            match self.shop.orders.apply(plan, "test").await {
                Ok(view) => return view,
                Err(OrdersError::Paused { .. } | OrdersError::Mirror(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("plan {plan} does not end");
    }

    /// The time after which nobody believes that an applier lives.
    pub async fn expire_leases(&self) {
        self.sql("UPDATE millpond.order_plan SET lease_until = now() - interval '1 s' WHERE state = 'applying'")
            .await;
    }

    async fn sql(&self, statement: &str) {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&self.shop.database.pool())
            .await
            .unwrap();
    }

    /// The plan as it was before its end was noted, with one intent as a crash left it.
    async fn rewind(&self, plan: i64, kind: &str, state: &str) {
        self.sql(&format!("UPDATE millpond.order_plan SET state = 'applying', ended_at = NULL, lease_until = now() WHERE id = {plan}")).await;
        self.sql(&format!(
            "DELETE FROM millpond.order_shipment WHERE plan = {plan}"
        ))
        .await;
        self.sql(&format!("UPDATE millpond.order_intent SET state = '{state}', ended_at = NULL WHERE plan = {plan} AND kind = '{kind}'")).await;
    }

    fn assemblies(&self, since: usize) -> Vec<Value> {
        self.shop.all("finishedGoods").split_off(since)
    }

    /// What lies at Glasgow of everything that the order touches.
    fn shelf(&self) -> BTreeMap<String, f64> {
        let skus = self.parts.keys().chain([&self.kit, &self.plain]);
        skus.map(|sku| (sku.clone(), self.shop.on_hand(sku, "Glasgow")))
            .collect()
    }

    /// Every effect is upstream exactly once.
    pub fn written_once(&self, job: &Job, assemblies_before: usize, what: &str) {
        let document = self.shop.truth("sale", &job.sale);
        let fulfilments = document["Fulfilments"].as_array().unwrap();
        assert_eq!(fulfilments.len(), 1, "{what}: {document}");
        for stage in ["Pick", "Pack", "Ship"] {
            assert_eq!(
                fulfilments[0][stage]["Status"], "AUTHORISED",
                "{what}: {stage}"
            );
        }
        let invoices = document["Invoices"].as_array().unwrap();
        assert_eq!(invoices.len(), 1, "{what}: {document}");
        assert_eq!(invoices[0]["Status"], "AUTHORISED", "{what}");
        let made = self.assemblies(assemblies_before);
        let states: Vec<&Value> = made.iter().map(|made| &made["Status"]).collect();
        assert_eq!(made.len(), 1, "{what}: {states:?}");
        assert_eq!(made[0]["Status"], "COMPLETED", "{what}");
        let mut expected: BTreeMap<String, f64> = self
            .parts
            .iter()
            .map(|(sku, per_kit)| (sku.clone(), f64::from(THERE) - per_kit * f64::from(KITS)))
            .collect();
        expected.insert(self.kit.clone(), 0.0);
        expected.insert(self.plain.clone(), f64::from(THERE - UNITS));
        assert_eq!(self.shelf(), expected, "{what}");
    }

    /// Nobody holds anything for the sale any more, and no other round meets it.
    pub async fn clear_away(&self, job: &Job) {
        self.shop.sim.faults().clear();
        if self.shop.truth("sale", &job.sale)["Status"] != "VOIDED" {
            self.shop
                .delete("sale", &format!("ID={}&Void=true", job.sale))
                .await;
        }
    }

    pub fn assembly_count(&self) -> usize {
        self.shop.all("finishedGoods").len()
    }
}

/// Faults of one write, by name.
fn faults_of(write: u64) -> Vec<(&'static str, FaultPlan)> {
    let only = FaultPlan {
        only_write: Some(write),
        ..FaultPlan::default()
    };
    vec![
        (
            "500 before the work",
            FaultPlan {
                status_every: Some((1, 500)),
                ..only.clone()
            },
        ),
        (
            "503 after the work",
            FaultPlan {
                status_after_every: Some((1, 503)),
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
            "timed out after the work",
            FaultPlan {
                hold_every: Some((1, 2100)),
                ..only.clone()
            },
        ),
        (
            "timed out before the work",
            FaultPlan {
                slow_every: Some((1, 2100)),
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
        (
            "a page of HTML",
            FaultPlan {
                html_200_every: Some(1),
                ..only
            },
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a51_whatever_happens_to_the_call_of_any_step_every_effect_is_there_once() {
    let bench = Bench::new().await;
    for (at, step) in STEPS.iter().enumerate() {
        for (name, faults) in faults_of(at as u64 + 1) {
            let what = format!("{step}: {name}");
            let before = bench.assembly_count();
            let job = bench.job().await;
            let struck = bench.shop.sim.faults().struck();
            bench.shop.sim.faults().set(faults.clone());
            let view = bench.insist(job.plan).await;
            let is_timed = faults.hold_every.is_some();
            assert!(
                is_timed || bench.shop.sim.faults().struck() > struck,
                "{what}: nothing was struck"
            );
            assert_eq!(view.row.state, "done", "{what}: {:#?}", view.shipments);
            bench.written_once(&job, before, &what);
            bench.clear_away(&job).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a51_a_step_that_is_refused_is_taken_back_before_the_pick_and_told_a_person_after_it() {
    let bench = Bench::new().await;
    for (at, step) in STEPS.iter().enumerate() {
        for in_200 in [false, true] {
            let before = bench.assembly_count();
            let job = bench.job().await;
            let shelf = bench.shelf();
            let mut faults = FaultPlan {
                only_write: Some(at as u64 + 1),
                ..FaultPlan::default()
            };
            if in_200 {
                faults.error_in_200_every = Some(1);
            } else {
                faults.status_every = Some((1, 400));
            }
            bench.shop.sim.faults().set(faults);
            let view = bench.insist(job.plan).await;
            let what = format!("{step}, in a 200: {in_200}: {:#?}", view.shipments);
            let shipment = &view.shipments[0];
            let refused = shipment.steps.iter().find(|s| s.state == "refused");
            assert_eq!(refused.map(|s| s.step.as_str()), Some(*step), "{what}");
            let claims = bench
                .shop
                .orders
                .claims(INSTANCE, Some(&shipment.order))
                .await
                .unwrap();
            let claims: Vec<_> = claims.iter().filter(|c| c.by == "plan").collect();
            if at < PICK {
                assert_eq!(
                    (view.row.state.as_str(), shipment.state.as_str()),
                    ("partial", "dropped"),
                    "{what}"
                );
                assert!(shipment.why.as_ref().unwrap().contains(step), "{what}");
                assert!(claims.is_empty(), "{what}: {claims:?}");
                let made = bench.assemblies(before);
                // A kit that is made stays made: it is stock. One that is only planned is void.
                let expected = match at {
                    4 => vec!["COMPLETED"],
                    3 => vec!["VOIDED"],
                    _ => vec![],
                };
                let states: Vec<&str> =
                    made.iter().map(|a| a["Status"].as_str().unwrap()).collect();
                assert_eq!(states, expected, "{what}");
                if at < 4 {
                    assert_eq!(bench.shelf(), shelf, "{what}");
                }
                let sale = bench.shop.truth("sale", &job.sale);
                assert!(sale["Invoices"].as_array().unwrap().is_empty(), "{what}");
            } else {
                assert_eq!(
                    (view.row.state.as_str(), shipment.state.as_str()),
                    ("needs_person", "needs_person"),
                    "{what}"
                );
                assert!(!claims.is_empty(), "{what}: its units stay out of reach");
            }
            // Applied again, nothing is written.
            let writes = bench.shop.writes().len();
            bench.insist(job.plan).await;
            assert_eq!(bench.shop.writes().len(), writes, "{what}");
            bench.clear_away(&job).await;
            // The person has looked: the plan's claims end.
            bench
                .sql(&format!(
                    "DELETE FROM millpond.allocation WHERE plan = {}",
                    job.plan
                ))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a51_a_step_that_was_done_and_not_noted_is_not_done_again() {
    let bench = Bench::new().await;
    for (at, step) in STEPS.iter().enumerate() {
        for state in ["sent", "in_doubt"] {
            let what = format!("{step} was {state}");
            let before = bench.assembly_count();
            let job = bench.job().await;
            // The next write is held before its work begins, and whoever waits for it dies.
            bench.shop.sim.faults().set(FaultPlan {
                only_write: Some(at as u64 + 2),
                slow_every: Some((1, 60_000)),
                ..FaultPlan::default()
            });
            bench.shop.sim.wiretap().clear();
            let (orders, plan) = (bench.shop.orders.clone(), job.plan);
            let apply = tokio::spawn(async move { orders.apply(plan, "first").await });
            while bench.shop.writes().len() < at + 2 && !apply.is_finished() {
                tokio::time::sleep(POLL).await;
            }
            apply.abort();
            let _ = apply.await;
            bench.shop.sim.faults().clear();
            let steps = bench.shop.orders.show(plan).await.unwrap().shipments[0]
                .steps
                .len();
            assert_eq!(steps, (at + 2).min(STEPS.len()), "{what}");
            if at + 1 == STEPS.len() {
                bench.rewind(plan, step, state).await;
            } else {
                bench.sql(&format!("UPDATE millpond.order_intent SET state = '{state}', outcome = NULL WHERE plan = {plan} AND kind = '{step}'")).await;
            }
            let view = bench.insist(plan).await;
            assert_eq!(view.row.state, "done", "{what}: {:#?}", view.shipments);
            bench.written_once(&job, before, &what);
            bench.clear_away(&job).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a51_an_assembly_is_voided_once_whatever_happens_to_that_call() {
    let bench = Bench::new().await;
    // The refusal of `complete` is write 4, the voiding that follows is write 5.
    for (name, faults) in faults_of(5) {
        let before = bench.assembly_count();
        let job = bench.job().await;
        let shelf = bench.shelf();
        let refusal = FaultPlan {
            only_write: Some(4),
            status_every: Some((1, 400)),
            ..FaultPlan::default()
        };
        bench.shop.sim.faults().set(refusal);
        let struck = bench.shop.sim.faults().struck();
        let orders = bench.shop.orders.clone();
        let plan = job.plan;
        let apply = tokio::spawn(async move { orders.apply(plan, "test").await });
        // Once the refusal is out, the next write meets the other fault.
        while bench.shop.sim.faults().struck() == struck && !apply.is_finished() {
            tokio::time::sleep(POLL).await;
        }
        bench.shop.sim.faults().set(FaultPlan {
            only_write: Some(1),
            ..faults
        });
        let _ = apply.await.unwrap();
        let view = bench.insist(job.plan).await;
        let what = format!("{name}: {:#?}", view.shipments);
        assert_eq!(view.shipments[0].state, "dropped", "{what}");
        let made = bench.assemblies(before);
        assert_eq!(made.len(), 1, "{what}");
        assert_eq!(made[0]["Status"], "VOIDED", "{what}");
        assert_eq!(bench.shelf(), shelf, "{what}");
        // Taken back a second time, as after a crash before it was noted.
        bench.rewind(job.plan, "void", "sent").await;
        let view = bench.insist(job.plan).await;
        assert_eq!(view.shipments[0].state, "dropped", "{what}");
        assert_eq!(bench.assemblies(before)[0]["Status"], "VOIDED", "{what}");
        assert_eq!(bench.shelf(), shelf, "{what}");
        bench.clear_away(&job).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a45_what_upstream_assembles_on_authorising_is_not_assembled_again() {
    let bench = Bench::new().await;
    let before = bench.assembly_count();
    let job = bench.job_of("Glasgow").await;
    bench.shop.sim.wiretap().clear();
    let view = bench.insist(job.plan).await;
    assert_eq!(view.row.state, "done", "{:#?}", view.shipments);
    bench.written_once(&job, before, "upstream assembles");
    let writes = bench.shop.writes();
    assert!(
        !writes.iter().any(|write| write.contains("finishedGoods")),
        "{writes:?}"
    );
}

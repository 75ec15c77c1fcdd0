//! One shipment, from its check to its refreshed records. Taken up again after a crash it goes on where it was.

use std::collections::{BTreeMap, BTreeSet};

use orders::input::Complete;
use serde_json::{Value, json};
use store::orders::{ClaimEnd, Intent, IntentState, NewIntent};

use super::{
    Ended, Run,
    steps::{adopted, answered, is_of_the_sale, products, target},
    today,
};
use crate::orders::{
    OrdersError,
    bodies::Setting,
    cin7::Sale,
    documents::{ShipmentDoc, Step},
    recheck::{Dropped, Effective, Fresh, judge, judge_again},
    upstream::{Door, Look, Sent, look_at, mark, open_task, path_of, task_of, work},
};

/// The step number of the check; the steps of the shipment follow.
const CHECK: i32 = 0;
/// Undoing a step is numbered so much higher.
pub(super) const UNDO: i32 = 1000;

/// What became of a step.
pub(super) enum Stepped {
    Done,
    Refused(String),
    Doubtful(String),
}

impl Run<'_> {
    /// For an order that ships complete: all its shipments are checked before the first is written.
    pub(super) async fn whole_order(
        &mut self,
        docs: &[ShipmentDoc],
        at: usize,
    ) -> Result<Option<Dropped>, OrdersError> {
        let doc = &docs[at];
        let rest: Vec<&ShipmentDoc> = docs
            .iter()
            .filter(|other| other.order == doc.order)
            .collect();
        let is_first = rest.first().is_some_and(|first| first.number == doc.number);
        if doc.complete != Complete::Order || rest.len() < 2 || !is_first {
            return Ok(None);
        }
        if !self.intents(doc.number).await?.is_empty() {
            return Ok(None);
        }
        for other in rest {
            if let Err(dropped) = self.check(other).await? {
                return Ok(Some(dropped));
            }
        }
        Ok(None)
    }

    /// Writes one shipment.
    pub(super) async fn shipment(&mut self, doc: &ShipmentDoc) -> Result<Ended, OrdersError> {
        if let Some(dropped) = self.being_taken_back(doc).await? {
            return self.leave(doc, dropped).await;
        }
        let opened = match self.opened(doc).await? {
            Ok(opened) => opened,
            Err(ended) => return Ok(ended),
        };
        let doc = &opened;
        // Every round goes through all steps; a step that was answered and not carried out starts another.
        for _ in 0..self.pace.attempts_max.max(1) {
            if let Some(ended) = self.round(doc).await? {
                return Ok(ended);
            }
        }
        Ok(Ended::NeedsPerson(
            "upstream keeps answering writes that it does not carry out".to_owned(),
        ))
    }

    async fn round(&mut self, doc: &ShipmentDoc) -> Result<Option<Ended>, OrdersError> {
        let effective = match self.effective(doc).await? {
            Ok(effective) => effective,
            Err(dropped) => return self.leave(doc, dropped).await.map(Some),
        };
        let mut outcomes: BTreeMap<i32, Value> = BTreeMap::new();
        for (at, step) in doc.steps.iter().enumerate() {
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            match self
                .step(doc, &effective, number, *step, &mut outcomes)
                .await?
            {
                Stepped::Done => {}
                Stepped::Doubtful(why) => return Ok(Some(Ended::NeedsPerson(why))),
                Stepped::Refused(why) => {
                    if self.reopen_lost(doc, &effective, number).await? {
                        return Ok(None);
                    }
                    let why = format!("{} was refused: {why}", step.kind());
                    return self.refused(doc, *step, why).await.map(Some);
                }
            }
        }
        // The records that were touched are read again, and they show whether everything was carried out.
        if !self.refresh(doc, &effective).await? {
            return Ok(None);
        }
        Ok(Some(Ended::Done))
    }

    /// What is written of the shipment: decided once, and decided anew as long as nothing of it is written.
    async fn effective(
        &mut self,
        doc: &ShipmentDoc,
    ) -> Result<Result<Effective, Dropped>, OrdersError> {
        let intents = self.intents(doc.number).await?;
        let begun = |intent: &Intent| {
            intent.step != CHECK && intent.step < UNDO && intent.state != IntentState::Ready
        };
        let known = intents
            .get(&CHECK)
            .and_then(|intent| serde_json::from_str::<Effective>(intent.work.get()).ok());
        if let Some(known) = known.filter(|_| intents.values().any(begun)) {
            let picked = intents
                .values()
                .any(|intent| intent.kind == "pick" && begun(intent));
            if picked {
                return Ok(Ok(known));
            }
            let made = intents.values().any(|intent| {
                matches!(intent.kind.as_str(), "assemble" | "buy_order") && begun(intent)
            });
            if made {
                let fresh = self.fresh(doc).await?;
                let judged = judge_again(doc, &known, &fresh.as_fresh(), &self.documents.scales);
                return Ok(judged.map(|()| known));
            }
        }
        let effective = match self.check(doc).await? {
            Ok(effective) => effective,
            Err(dropped) => return Ok(Err(dropped)),
        };
        let work = serde_json::to_value(&effective).unwrap_or_default();
        self.open(doc, CHECK, "check", &work).await?;
        self.let_go(doc, &effective).await?;
        Ok(Ok(effective))
    }

    async fn check(
        &mut self,
        doc: &ShipmentDoc,
    ) -> Result<Result<Effective, Dropped>, OrdersError> {
        let fresh = self.fresh(doc).await?;
        Ok(judge(doc, &fresh.as_fresh(), &self.documents.scales))
    }

    async fn fresh(&mut self, doc: &ShipmentDoc) -> Result<Read, OrdersError> {
        let instance = self.lease.instance.clone();
        let door = Door {
            mirror: self.mirror,
            instance: &instance,
        };
        let is_open = self.is_open(&doc.loc).await?;
        self.stock.ensure(&door, &doc.loc, &products(doc)).await?;
        let sale = door.sale(&doc.sale).await?;
        Ok(Read {
            sale,
            rows: self.stock.rows(&doc.loc),
            is_open,
        })
    }

    /// Units that the shipment shrank by are no longer held for it.
    async fn let_go(&self, doc: &ShipmentDoc, effective: &Effective) -> Result<(), OrdersError> {
        let kept: BTreeSet<&str> = effective
            .takes
            .iter()
            .map(|take| take.node.as_str())
            .collect();
        let nodes = doc
            .takes
            .iter()
            .map(|take| take.node.clone())
            .filter(|node| !kept.contains(node.as_str()));
        let nodes: Vec<String> = nodes.collect();
        if effective.shrunk && !nodes.is_empty() {
            let by = format!("plan {}", self.lease.plan);
            let why = ClaimEnd {
                by: &by,
                why: "released: the units were gone",
            };
            self.mirror
                .store()
                .end_claims_of(
                    &self.lease.instance,
                    self.lease.plan,
                    &doc.order,
                    &nodes,
                    why,
                )
                .await?;
        }
        Ok(())
    }

    pub(super) async fn step(
        &mut self,
        doc: &ShipmentDoc,
        effective: &Effective,
        number: i32,
        step: Step,
        outcomes: &mut BTreeMap<i32, Value>,
    ) -> Result<Stepped, OrdersError> {
        let known = self.intents(doc.number).await?;
        if let Some(intent) = known.get(&number) {
            match intent.state {
                IntentState::Done => {
                    outcomes.insert(number, intent.outcome.clone().unwrap_or_default());
                    return Ok(Stepped::Done);
                }
                IntentState::Refused => {
                    return Ok(Stepped::Refused(intent.why.clone().unwrap_or_default()));
                }
                _ => {}
            }
        }
        let target = target(doc, step, outcomes);
        let mark = self.mark(doc, number, step.kind());
        let held = known
            .get(&number)
            .filter(|intent| intent.state != IntentState::Ready)
            .cloned();
        let mut intent = match held {
            Some(intent) => intent,
            None => {
                let (work, adopted) = self.prepare(doc, effective, step, &target, &mark).await?;
                let intent = self.open(doc, number, step.kind(), &work).await?;
                if let Some(outcome) = adopted {
                    self.move_to(&intent, IntentState::Done, Some(&outcome), None)
                        .await?;
                    outcomes.insert(number, outcome);
                    return Ok(Stepped::Done);
                }
                intent
            }
        };
        loop {
            // After a crash nobody knows whether a write that was on its way has arrived: look, never send again.
            if matches!(intent.state, IntentState::Sent | IntentState::InDoubt) {
                match self.find_out(doc, effective, step, &target, &mark).await? {
                    Look::Done(outcome) => {
                        return self.done(&intent, outcome, number, outcomes).await;
                    }
                    Look::Other(why) => {
                        self.move_to(&intent, IntentState::InDoubt, None, Some(&why))
                            .await?;
                        return Ok(Stepped::Doubtful(why));
                    }
                    Look::Absent => {
                        intent = self
                            .move_to(&intent, IntentState::Ready, None, None)
                            .await?
                    }
                }
            }
            if intent.attempts >= self.pace.attempts_max {
                let why = format!(
                    "{} was sent {} times and never arrived",
                    step.kind(),
                    intent.attempts
                );
                return Ok(Stepped::Doubtful(why));
            }
            intent = self.move_to(&intent, IntentState::Sent, None, None).await?;
            let work: Value = serde_json::from_str(intent.work.get()).unwrap_or_default();
            match self.door_of(doc, step).write(&work).await? {
                Sent::Taken(answer) => match answered(step, &answer) {
                    Some(outcome) => return self.done(&intent, outcome, number, outcomes).await,
                    None => {
                        intent = self
                            .move_to(
                                &intent,
                                IntentState::InDoubt,
                                None,
                                Some("the answer does not show it"),
                            )
                            .await?
                    }
                },
                Sent::Unknown(why) => {
                    intent = self
                        .move_to(&intent, IntentState::InDoubt, None, Some(&why))
                        .await?
                }
                Sent::Held(why, wait) => {
                    self.move_to(&intent, IntentState::Ready, None, Some(&why))
                        .await?;
                    return Err(OrdersError::Paused {
                        plan: self.lease.plan,
                        why,
                        wait,
                    });
                }
                // What is there already is refused too, and a torn answer can look like a refusal.
                Sent::Refused(why) => {
                    match self.find_out(doc, effective, step, &target, &mark).await? {
                        Look::Done(outcome) => {
                            return self.done(&intent, outcome, number, outcomes).await;
                        }
                        _ => {
                            self.move_to(&intent, IntentState::Refused, None, Some(&why))
                                .await?;
                            return Ok(Stepped::Refused(why));
                        }
                    }
                }
            }
        }
    }

    /// Looks until the write shows, or has not shown often enough to be lost.
    async fn find_out(
        &self,
        doc: &ShipmentDoc,
        effective: &Effective,
        step: Step,
        task: &str,
        mark: &str,
    ) -> Result<Look, OrdersError> {
        for look in 1..=self.pace.doubt_looks.max(1) {
            let found = self
                .door_of(doc, step)
                .look(&self.setting(doc, effective), step, task, mark)
                .await?;
            if found != Look::Absent || look == self.pace.doubt_looks.max(1) {
                return Ok(found);
            }
            if !self
                .mirror
                .store()
                .renew_plan(&self.lease, self.pace.lease)
                .await?
            {
                return Err(OrdersError::LeaseLost {
                    plan: self.lease.plan,
                });
            }
            tokio::time::sleep(self.pace.doubt_pause).await;
        }
        Ok(Look::Absent)
    }

    /// The write of a step; or, where upstream has done it itself, what it did.
    async fn prepare(
        &self,
        doc: &ShipmentDoc,
        effective: &Effective,
        step: Step,
        task: &str,
        mark: &str,
    ) -> Result<(Value, Option<Value>), OrdersError> {
        let setting = self.setting(doc, effective);
        let path = path_of(step);
        let gone = || OrdersError::Unreadable {
            what: "sale",
            id: doc.sale.clone(),
        };
        Ok(match step {
            Step::Sell | Step::SellOrder | Step::Buy | Step::BuyOrder => {
                let body = doc.cross.as_ref().map(|cross| match step {
                    Step::Sell => setting.sell(cross, mark),
                    Step::SellOrder => setting.sell_order(cross),
                    Step::Buy => setting.buy(cross, mark),
                    _ => setting.buy_order(cross, task),
                });
                (work(path, body.unwrap_or_default()), None)
            }
            Step::Authorise | Step::Task | Step::Invoice => {
                let (sale, raw) = self.door().sale(&doc.sale).await?.ok_or_else(gone)?;
                match step {
                    Step::Authorise => {
                        let done =
                            (sale.order.status == "AUTHORISED").then(|| json!({ "adopted": true }));
                        (work(path, setting.authorise(&raw)), done)
                    }
                    Step::Task => (work(path, setting.task()), open_task(&sale).map(task_of)),
                    _ => {
                        let mine = sale.live().find(|f| f.task.eq_ignore_ascii_case(task));
                        let number = mine
                            .filter(|_| sale.kind == "Advanced Sale")
                            .map(|f| f.number.json());
                        let body = setting.invoice(&sale, &raw, &number.unwrap_or_default(), mark);
                        let done = match look_at(&setting, step, task, mark, &sale) {
                            Look::Done(outcome) => Some(outcome),
                            _ => None,
                        };
                        (work(path, body), done)
                    }
                }
            }
            Step::Assemble(nth) => {
                let kit = &effective.kits[nth];
                let body = work(path, setting.assemble(kit, mark));
                if kit.qty == 0 {
                    return Ok((body, Some(json!({ "skipped": true }))));
                }
                // Upstream assembles for orders by itself; a second assembly would consume the parts twice.
                let own = self.door().assemblies("SaleID", &doc.sale).await?;
                let wanted = self.documents.scales.qty(&kit.sku, kit.qty);
                (body, adopted(doc, kit, wanted, own))
            }
            Step::Complete(nth) => {
                let is_made = effective.kits[nth].qty == 0 || task.is_empty();
                let skipped = is_made.then(|| json!({ "skipped": true }));
                (work(path, setting.complete(nth, task)), skipped)
            }
            Step::Pick => (work(path, setting.pick(task)), None),
            Step::Pack => (work(path, setting.pack(task)), None),
            Step::Ship => (work(path, setting.ship(task)), None),
        })
    }

    /// Reads the touched records again. `false`: a step was answered and not carried out, and is ready again.
    async fn refresh(
        &mut self,
        doc: &ShipmentDoc,
        effective: &Effective,
    ) -> Result<bool, OrdersError> {
        let products = products(doc);
        self.stock.forget(&products);
        let instance = self.lease.instance.clone();
        let door = Door {
            mirror: self.mirror,
            instance: &instance,
        };
        let Some((sale, _)) = door.sale(&doc.sale).await? else {
            return Ok(true);
        };
        let intents = self.intents(doc.number).await?;
        let mut outcomes = BTreeMap::new();
        let mut whole = true;
        for (at, step) in doc.steps.iter().enumerate() {
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            let Some(intent) = intents.get(&number) else {
                continue;
            };
            let target = target(doc, *step, &outcomes);
            outcomes.insert(number, intent.outcome.clone().unwrap_or_default());
            if *step == Step::BuyOrder {
                // What the other instance expects from here on, its next plan should know.
                self.door_of(doc, *step).purchase(&target).await?;
            }
            if !is_of_the_sale(*step) {
                continue;
            }
            let mark = self.mark(doc, number, step.kind());
            let look = look_at(&self.setting(doc, effective), *step, &target, &mark, &sale);
            if look == Look::Absent {
                self.move_to(
                    intent,
                    IntentState::Ready,
                    None,
                    Some("answered, and not carried out"),
                )
                .await?;
                whole = false;
            }
        }
        self.stock.ensure(&door, &doc.loc, &products).await?;
        Ok(whole)
    }

    pub(super) fn setting<'s>(
        &'s self,
        doc: &'s ShipmentDoc,
        effective: &'s Effective,
    ) -> Setting<'s> {
        Setting {
            doc,
            effective,
            scales: &self.documents.scales,
            places: &self.places,
            today: today(),
            made_at: &self.made_at,
        }
    }

    pub(super) fn mark(&self, doc: &ShipmentDoc, number: i32, kind: &str) -> String {
        mark(
            &self.lease.instance,
            doc,
            self.lease.plan,
            &self.made_at,
            &format!("{number}{kind}"),
        )
    }

    pub(super) async fn open(
        &self,
        doc: &ShipmentDoc,
        number: i32,
        kind: &str,
        work: &Value,
    ) -> Result<Intent, OrdersError> {
        let key = self.mark(doc, number, kind);
        let new = NewIntent {
            key: &key,
            shipment: doc.number,
            step: number,
            kind,
            work,
        };
        let opened = self.mirror.store().open_intent(&self.lease, &new).await?;
        opened.ok_or(OrdersError::LeaseLost {
            plan: self.lease.plan,
        })
    }

    pub(super) async fn move_to(
        &self,
        intent: &Intent,
        to: IntentState,
        outcome: Option<&Value>,
        why: Option<&str>,
    ) -> Result<Intent, OrdersError> {
        let lost = || OrdersError::LeaseLost {
            plan: self.lease.plan,
        };
        let store = self.mirror.store();
        if !store.renew_plan(&self.lease, self.pace.lease).await? {
            return Err(lost());
        }
        if !store
            .move_intent(&self.lease, &intent.key, intent.state, to, outcome, why)
            .await?
        {
            return Err(lost());
        }
        let mut moved = intent.clone();
        moved.attempts += i32::from(to == IntentState::Sent);
        moved.state = to;
        Ok(moved)
    }

    async fn done(
        &self,
        intent: &Intent,
        outcome: Value,
        number: i32,
        outcomes: &mut BTreeMap<i32, Value>,
    ) -> Result<Stepped, OrdersError> {
        self.move_to(intent, IntentState::Done, Some(&outcome), None)
            .await?;
        outcomes.insert(number, outcome);
        Ok(Stepped::Done)
    }
}

/// What upstream said of a shipment's records.
struct Read {
    sale: Option<(Sale, Value)>,
    rows: Vec<(String, crate::orders::cin7::Availability)>,
    is_open: bool,
}

impl Read {
    fn as_fresh(&self) -> Fresh<'_> {
        Fresh {
            sale: self.sale.as_ref().map(|(sale, _)| sale),
            rows: &self.rows,
            is_open: self.is_open,
            now: today(),
        }
    }
}

//! What is taken back when a shipment does not go through, and what is done again when it was not done at all.

use std::collections::BTreeMap;

use orders::plan::Code;
use serde_json::json;
use store::orders::IntentState;

use super::{
    Ended, Run,
    shipment::UNDO,
    steps::{products, target},
};
use crate::orders::{
    OrdersError,
    documents::{ShipmentDoc, Step},
    recheck::{Dropped, Effective},
    upstream::{Look, Sent, path_of},
};

impl Run<'_> {
    /// Steps that count as done and left no trace are ready again. Answers whether there were any.
    pub(super) async fn reopen_lost(
        &mut self,
        doc: &ShipmentDoc,
        effective: &Effective,
        before: i32,
    ) -> Result<bool, OrdersError> {
        let intents = self.intents(doc.number).await?;
        let mut outcomes = BTreeMap::new();
        let mut any = false;
        for (at, step) in doc.steps.iter().enumerate() {
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            let Some(intent) = intents
                .get(&number)
                .filter(|intent| intent.state == IntentState::Done)
            else {
                continue;
            };
            let outcome = intent.outcome.clone().unwrap_or_default();
            let target = target(doc, *step, &outcomes);
            let is_skipped = outcome["skipped"] == true;
            outcomes.insert(number, outcome);
            // A fulfilment that was picked since is open no more; the pick says whether it is there.
            if number >= before || is_skipped || matches!(step, Step::Task | Step::Sell | Step::Buy)
            {
                continue;
            }
            let mark = self.mark(doc, number, step.kind());
            let look = self
                .door_of(doc, *step)
                .look(&self.setting(doc, effective), *step, &target, &mark)
                .await?;
            if look == Look::Absent && intent.attempts < self.pace.attempts_max {
                self.move_to(
                    intent,
                    IntentState::Ready,
                    None,
                    Some("answered, and not carried out"),
                )
                .await?;
                any = true;
            }
        }
        if any
            && let Some(refused) = intents.get(&before).filter(|_| before < UNDO)
            && let Some(now) = self.intents(doc.number).await?.get(&refused.step)
            && now.state == IntentState::Refused
        {
            self.move_to(now, IntentState::Ready, None, None).await?;
        }
        Ok(any)
    }

    /// Why a shipment that an earlier apply began to take back is not written: that goes on where it stopped.
    pub(super) async fn being_taken_back(
        &self,
        doc: &ShipmentDoc,
    ) -> Result<Option<Dropped>, OrdersError> {
        let intents = self.intents(doc.number).await?;
        if intents.range(UNDO..).next().is_none() {
            return Ok(None);
        }
        let refused = intents
            .values()
            .find(|intent| intent.step < UNDO && intent.state == IntentState::Refused);
        let (kind, why) = refused.map_or(("a step", None), |i| (i.kind.as_str(), i.why.as_deref()));
        Ok(Some(Dropped {
            code: Code::Stale,
            text: format!("{kind} was refused: {}", why.unwrap_or("it no longer held")),
        }))
    }

    /// A refusal before stock is committed gives everything back; afterwards it needs a person.
    pub(super) async fn refused(
        &mut self,
        doc: &ShipmentDoc,
        step: Step,
        why: String,
    ) -> Result<Ended, OrdersError> {
        let is_committed = matches!(step, Step::Pack | Step::Ship | Step::Invoice);
        if is_committed {
            return Ok(Ended::NeedsPerson(why));
        }
        let code = if matches!(step, Step::Assemble(_) | Step::Complete(_)) {
            Code::Component
        } else {
            Code::Stale
        };
        self.leave(doc, Dropped { code, text: why }).await
    }

    /// Takes back what can be taken back of a shipment that is not written, and lets it go.
    pub(super) async fn leave(
        &mut self,
        doc: &ShipmentDoc,
        dropped: Dropped,
    ) -> Result<Ended, OrdersError> {
        let intents = self.intents(doc.number).await?;
        let is_committed = intents.values().any(|i| {
            i.kind == "pick"
                && matches!(
                    i.state,
                    IntentState::Done | IntentState::InDoubt | IntentState::Sent
                )
        });
        if is_committed {
            return Ok(Ended::NeedsPerson(dropped.text));
        }
        for (at, step) in doc.steps.iter().enumerate() {
            let number = i32::try_from(at + 1).unwrap_or(i32::MAX);
            let Step::Assemble(_) = step else { continue };
            let made = intents
                .get(&number)
                .and_then(|intent| intent.outcome.clone())
                .unwrap_or_default();
            let ours = made["adopted"] != true;
            let finished = intents
                .get(&(number + 1))
                .is_some_and(|intent| intent.state == IntentState::Done);
            let mut task = made["TaskID"].as_str().unwrap_or_default().to_owned();
            if task.is_empty()
                && intents
                    .get(&number)
                    .is_some_and(|intent| intent.attempts > 0)
            {
                // Refused half-way: the task may be there without its bill.
                let mark = self.mark(doc, number, step.kind());
                let left = self.door().assemblies("Search", &mark).await?;
                let left = left
                    .into_iter()
                    .find(|row| row.notes.contains(&mark) && row.status != "VOIDED");
                task = left.map(|row| row.task).unwrap_or_default();
            }
            if !task.is_empty()
                && ours
                && !finished
                && !self.void(doc, number, *step, &task).await?
            {
                let text = format!("{}; assembly {task} could not be voided", dropped.text);
                return Ok(Ended::NeedsPerson(text));
            }
        }
        if let Some(left) = self.take_back_sale(doc).await? {
            return Ok(Ended::NeedsPerson(format!("{}; {left}", dropped.text)));
        }
        self.stock.forget(&products(doc));
        Ok(Ended::Dropped(dropped.code, dropped.text))
    }

    /// Voids a document that is not carried out. Answers whether it is void; twice is as good as once.
    pub(super) async fn void(
        &mut self,
        doc: &ShipmentDoc,
        number: i32,
        step: Step,
        id: &str,
    ) -> Result<bool, OrdersError> {
        let path = path_of(step);
        let query = json!({ "ID": id, "Void": "true" });
        let work = json!({ "method": "DELETE", "path": path, "query": query });
        let mut intent = self.open(doc, UNDO + number, "void", &work).await?;
        for _ in 0..self.pace.attempts_max.max(1) {
            match self.door_of(doc, step).status(step, id).await?.as_deref() {
                None | Some("VOIDED") => {
                    if intent.state != IntentState::Done {
                        self.move_to(&intent, IntentState::Done, None, None).await?;
                    }
                    return Ok(true);
                }
                Some("COMPLETED") => return Ok(false),
                Some(_) => {}
            }
            if intent.state != IntentState::Ready {
                intent = self
                    .move_to(&intent, IntentState::Ready, None, None)
                    .await?;
            }
            intent = self.move_to(&intent, IntentState::Sent, None, None).await?;
            match self.door_of(doc, step).write(&work).await? {
                Sent::Held(why, wait) => {
                    self.move_to(&intent, IntentState::Ready, None, Some(&why))
                        .await?;
                    return Err(OrdersError::Paused {
                        plan: self.lease.plan,
                        why,
                        wait,
                    });
                }
                Sent::Refused(why) => {
                    self.move_to(&intent, IntentState::Refused, None, Some(&why))
                        .await?;
                    return Ok(false);
                }
                Sent::Taken(_) | Sent::Unknown(_) => {
                    intent = self
                        .move_to(&intent, IntentState::InDoubt, None, None)
                        .await?;
                }
            }
        }
        Ok(false)
    }
}

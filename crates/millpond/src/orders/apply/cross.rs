//! A shipment for another instance: its sale is entered first, and taken back with the purchase when it comes to
//! nothing.

use std::collections::BTreeMap;

use orders::plan::Code;
use store::orders::IntentState;

use super::{Ended, Run, shipment::Stepped, steps::products};
use crate::orders::{
    OrdersError,
    documents::{ShipmentDoc, Step},
    recheck::{Dropped, Effective},
    upstream::{Door, Look},
};

impl Run<'_> {
    /// The door through which a step is written: the purchase is the buyer's.
    pub(super) fn door_of<'d>(&'d self, doc: &'d ShipmentDoc, step: Step) -> Door<'d> {
        match (&doc.cross, step) {
            (Some(cross), Step::Buy | Step::BuyOrder) => Door {
                mirror: self.mirror,
                instance: &cross.buyer,
            },
            _ => self.door(),
        }
    }

    /// The shipment with its sale entered and authorised; any other is as it is.
    pub(super) async fn opened(
        &mut self,
        doc: &ShipmentDoc,
    ) -> Result<Result<ShipmentDoc, Ended>, OrdersError> {
        let mut doc = doc.clone();
        if doc.cross.is_none() {
            return Ok(Ok(doc));
        }
        let planned = planned(&doc);
        let mut outcomes = BTreeMap::new();
        for (number, step) in (1..).zip([Step::Sell, Step::SellOrder]) {
            let is_begun = self.intents(doc.number).await?.contains_key(&1);
            if !is_begun && let Some(dropped) = self.gone(&doc).await? {
                return Ok(Err(self.leave(&doc, dropped).await?));
            }
            match self
                .step(&doc, &planned, number, step, &mut outcomes)
                .await?
            {
                Stepped::Done => {}
                Stepped::Doubtful(why) => return Ok(Err(Ended::NeedsPerson(why))),
                Stepped::Refused(why) => {
                    let why = format!("{} was refused: {why}", step.kind());
                    return Ok(Err(self.refused(&doc, step, why).await?));
                }
            }
            if step == Step::Sell {
                doc.sale = id_of(outcomes.get(&number));
            }
        }
        Ok(Ok(doc))
    }

    /// What is no longer there, before anything is entered anywhere.
    async fn gone(&mut self, doc: &ShipmentDoc) -> Result<Option<Dropped>, OrdersError> {
        let instance = self.lease.instance.clone();
        let door = Door {
            mirror: self.mirror,
            instance: &instance,
        };
        if !self.is_open(&doc.loc).await? {
            let text = format!("{} is closed", doc.loc);
            return Ok(Some(Dropped {
                code: Code::ShipFrom,
                text,
            }));
        }
        self.stock.ensure(&door, &doc.loc, &products(doc)).await?;
        let rows = self.stock.rows(&doc.loc);
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for take in &doc.takes {
            *wanted.entry(&take.facts.sku).or_default() += take.qty;
        }
        for (sku, qty) in wanted {
            let free = rows.iter().filter(|(_, row)| row.sku == sku);
            let free = free.map(|(_, row)| row.on_hand.0 - row.allocated.0).sum();
            let there = self.documents.scales.steps(sku, free).unwrap_or(0);
            if there < qty {
                let text = format!(
                    "{there} of {sku} are free at {}, {qty} were planned",
                    doc.loc
                );
                return Ok(Some(Dropped {
                    code: Code::Stale,
                    text,
                }));
            }
        }
        Ok(None)
    }

    /// Voids the purchase and then the sale of a shipment that is not written. Answers what could not be voided.
    pub(super) async fn take_back_sale(
        &mut self,
        doc: &ShipmentDoc,
    ) -> Result<Option<String>, OrdersError> {
        if doc.cross.is_none() {
            return Ok(None);
        }
        let planned = planned(doc);
        for (number, step) in [(3, Step::Buy), (1, Step::Sell)] {
            let intents = self.intents(doc.number).await?;
            let Some(intent) = intents.get(&number).filter(|intent| intent.attempts > 0) else {
                continue;
            };
            let mut id = id_of(intent.outcome.as_ref());
            if id.is_empty() && intent.state != IntentState::Done {
                // Refused, or nobody knows: it may be there all the same.
                let mark = self.mark(doc, number, step.kind());
                let setting = self.setting(doc, &planned);
                if let Look::Done(found) = self
                    .door_of(doc, step)
                    .look(&setting, step, "", &mark)
                    .await?
                {
                    id = id_of(Some(&found));
                }
            }
            if !id.is_empty() && !self.void(doc, number, step, &id).await? {
                return Ok(Some(format!("{} {id} could not be voided", step.kind())));
            }
        }
        Ok(None)
    }
}

fn id_of(outcome: Option<&serde_json::Value>) -> String {
    let id = outcome.and_then(|outcome| outcome["TaskID"].as_str());
    id.unwrap_or_default().to_owned()
}

/// The shipment as it was planned.
fn planned(doc: &ShipmentDoc) -> Effective {
    Effective {
        lines: doc.lines.clone(),
        takes: doc.takes.clone(),
        kits: doc.kits.clone(),
        shrunk: false,
    }
}

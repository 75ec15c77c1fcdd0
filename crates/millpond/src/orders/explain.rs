//! One order of a plan: what it gets, what it waits for, who is ahead, and since when nobody can pass it.

use orders::{Day, cannot_be_passed_after, class_now, input::Input, plan::Plan};
use serde::Serialize;
use serde_json::Value;
use store::StoreError;

use super::{Orders, OrdersError, PlanView, ShipmentView, ShortView, stored};

/// Why an order gets what it gets.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The plan.
    pub plan: i64,
    /// The order.
    pub order: String,
    /// Its place in the sequence, from 1, and how many orders there are.
    pub place: usize,
    /// See `place`.
    pub of: usize,
    /// Its class today: 0 is the most urgent.
    pub class_now: i64,
    /// The day after which no order entered later can get ahead of it.
    pub cannot_be_passed_after: Day,
    /// What it gets today.
    pub shipments: Vec<ShipmentView>,
    /// What it does not get, and why, unit by unit.
    pub short: Vec<ShortView>,
    /// When it can ship, or its lines can.
    pub promises: Vec<Value>,
    /// Units held for it.
    pub claims: Vec<Value>,
    /// Everything that was decided about it.
    pub reasons: Vec<Value>,
}

impl Orders {
    /// Explains one order of a plan.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is no such plan, or the order takes no part in it.
    pub async fn explain(&self, id: i64, order: &str) -> Result<Explanation, OrdersError> {
        let parts = self.mirror.store().load_plan_parts(id).await?;
        let (input, plan) = (
            stored::<Input>(id, &parts.input)?,
            stored::<Plan>(id, &parts.plan)?,
        );
        let view = self.show(id).await?;
        let unknown = |name: String| {
            OrdersError::Store(StoreError::Unknown {
                what: "order of this plan",
                name,
            })
        };
        if let Some(out) = view.left_out.iter().find(|out| out.order == order) {
            return Err(unknown(format!(
                "{order}`: it takes no part, `{}",
                out.text
            )));
        }
        let place = plan
            .sequence
            .iter()
            .position(|name| name == order)
            .ok_or_else(|| unknown(order.to_owned()))?;
        let asked = input
            .orders
            .iter()
            .find(|known| known.id == order)
            .ok_or_else(|| unknown(order.to_owned()))?;
        let PlanView {
            shipments, short, ..
        } = view;
        let value = |item: serde_json::Result<Value>| item.unwrap_or_default();
        Ok(Explanation {
            plan: id,
            order: order.to_owned(),
            place: place + 1,
            of: plan.sequence.len(),
            class_now: class_now(asked, &input.config, input.now),
            cannot_be_passed_after: cannot_be_passed_after(asked, &input.config),
            shipments: shipments.into_iter().filter(|s| s.order == order).collect(),
            short: short.into_iter().filter(|s| s.order == order).collect(),
            promises: plan
                .promises
                .iter()
                .filter(|p| p.order == order)
                .map(|p| value(serde_json::to_value(p)))
                .collect(),
            claims: plan
                .claims
                .iter()
                .filter(|c| c.order == order)
                .map(|c| value(serde_json::to_value(c)))
                .collect(),
            reasons: plan
                .reasons
                .iter()
                .filter(|r| r.order.as_deref() == Some(order))
                .map(|r| value(serde_json::to_value(r)))
                .collect(),
        })
    }
}

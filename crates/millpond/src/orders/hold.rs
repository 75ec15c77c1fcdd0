//! Claims by hand: held until they are released, whoever plans.

use orders::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{
    StoreError,
    orders::{Claim, ClaimEnd, ClaimError, NewClaim, Node},
};

use super::{
    Orders, OrdersError, PLANNER,
    cin7::Availability,
    read::{UPSTREAM, parse, resource},
};

/// Units that are to be held for an order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldAsk {
    /// The instance.
    pub instance: String,
    /// The order, by number.
    pub order: String,
    /// The line, by its place from 1; absent: whichever needs the SKU.
    #[serde(default)]
    pub line: Option<String>,
    /// The lot, by the id of its row in `cin7.availability`.
    pub node: String,
    /// Whole units, a decimal text.
    pub qty: String,
    /// A soft claim that ends on this day; absent: a hard one.
    #[serde(default)]
    pub soft_until: Option<Day>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

impl Orders {
    /// Holds units of a lot for an order, unless they are taken. Answers the claim's id. The same ask twice holds once.
    ///
    /// # Errors
    ///
    /// [`OrdersError::Hold`] when the units are taken: of all who ask for the last ones, one gets them.
    pub async fn hold(&self, ask: &HoldAsk, by: &str) -> Result<String, OrdersError> {
        self.understood(&ask.instance)?;
        if matches!(by, UPSTREAM | PLANNER) {
            let text = format!("`{by}` is nobody's name: claims of {by} are made otherwise");
            return Err(OrdersError::Name(text));
        }
        let store = self.mirror.store();
        let table = resource("availability")?;
        let unknown = || StoreError::Unknown {
            what: "lot",
            name: ask.node.clone(),
        };
        let row = store
            .find_record(&table, &ask.instance, &ask.node, &table)
            .await?
            .ok_or_else(unknown)?;
        let row: Availability = parse(row.body.get()).ok_or_else(unknown)?;
        // Claims count in steps, and the ledger must count as plans do: a lot that lies in fractions is left to them.
        let whole = |text: rust_decimal::Decimal| i64::try_from(text.normalize()).ok();
        let wrong = |what: &str| {
            OrdersError::Name(format!("{what} of {} is no whole number of units", row.sku))
        };
        let qty: rust_decimal::Decimal =
            ask.qty.trim().parse().map_err(|_| wrong("the quantity"))?;
        let is_whole = |number: rust_decimal::Decimal| number.normalize().scale() == 0;
        if !is_whole(qty) || !is_whole(row.on_hand.0) {
            return Err(wrong("the quantity"));
        }
        let qty = whole(qty)
            .filter(|qty| *qty > 0)
            .ok_or_else(|| wrong("the quantity"))?;
        let free = whole((row.on_hand.0 - row.allocated.0).trunc())
            .unwrap_or(0)
            .max(0);
        // What upstream holds for orders is in the ledger already, as claims of theirs.
        let held: i64 = store
            .claims(&ask.instance, None)
            .await?
            .iter()
            .filter(|claim| claim.node == ask.node && claim.by == UPSTREAM)
            .map(|claim| claim.qty)
            .sum();
        let today = store.today().await?;
        let id = format!(
            "{by}/{}/{}/{}",
            ask.order,
            ask.line.as_deref().unwrap_or("*"),
            ask.node
        );
        let claim = NewClaim {
            id: id.clone(),
            order: ask.order.clone(),
            line: ask.line.clone(),
            node: ask.node.clone(),
            qty,
            hard: ask.soft_until.is_none(),
            made: today,
            expires: ask.soft_until.and_then(|day| day.to_string().parse().ok()),
            by: by.to_owned(),
            reason: ask.reason.clone(),
        };
        let node = Node {
            node: ask.node.clone(),
            sku: row.sku.clone(),
            free: free + held,
        };
        store.claim(&ask.instance, &node, &claim).await?;
        Ok(id)
    }

    /// Gives held units back. `false`: there is no such claim.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn release(
        &self,
        instance: &str,
        claim: &str,
        by: &str,
        why: &str,
    ) -> Result<bool, OrdersError> {
        self.understood(instance)?;
        let why = format!("released: {why}");
        let end = ClaimEnd { by, why: &why };
        Ok(self
            .mirror
            .store()
            .end_claims(instance, &[claim.to_owned()], end)
            .await?
            > 0)
    }

    /// Who holds which units of an instance; of one order if it is named.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn claims(
        &self,
        instance: &str,
        order: Option<&str>,
    ) -> Result<Vec<Claim>, OrdersError> {
        self.understood(instance)?;
        Ok(self.mirror.store().claims(instance, order).await?)
    }
}

impl From<ClaimError> for OrdersError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Store(error) => Self::Store(error),
            other => Self::Hold(other),
        }
    }
}

//! The job that fills: supply that the mirror sees arrive leads to a plan, and where configuration lets it, to picks.
//! It also goes on with plans whose applier is gone.

use std::collections::BTreeSet;

use store::changes::ChangeCursor;
use tokio_util::sync::CancellationToken;

use super::{Orders, OrdersError, PlanAsk};
use crate::{
    cli::chain_of,
    config::{FillMode, OrdersConfig},
};

/// What can add or take supply or demand.
const WATCHED: [&str; 4] = [
    "cin7.availability",
    "cin7.purchase",
    "cin7.sale",
    "cin7.product",
];
/// Changes read at once.
const BATCH: i64 = 1000;
/// Abandoned plans taken up in one round.
const TAKEN_UP_MAX: i64 = 10;
/// Who the job is in the rows of its plans.
const NAME: &str = "the fill job";

impl Orders {
    /// Looks every `config.every` for abandoned plans and for supply that arrived, until `stop`. What fails is logged
    /// and tried again.
    pub async fn keep(&self, config: &OrdersConfig, owner: &str, stop: &CancellationToken) {
        loop {
            let round = async {
                self.take_up(owner).await?;
                if config.fill != FillMode::Off {
                    self.fill_arrived(config, owner).await?;
                }
                Ok::<(), OrdersError>(())
            };
            tokio::select! {
                () = stop.cancelled() => return,
                done = round => if let Err(error) = done {
                    tracing::warn!(error = chain_of(&error), "the fill job could not do its round; it tries again");
                },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(config.every.0) => {}
            }
        }
    }

    /// Goes on with plans that were being applied by a process that is gone.
    ///
    /// # Errors
    ///
    /// The database's own; what happens to a plan stands in its row.
    pub async fn take_up(&self, owner: &str) -> Result<(), OrdersError> {
        for id in self.mirror.store().abandoned_plans(TAKEN_UP_MAX).await? {
            match self.apply(id, owner).await {
                Ok(view) => {
                    tracing::info!(plan.id = id, "took plan {id} up; it is {}", view.row.state)
                }
                Err(OrdersError::Busy { .. } | OrdersError::LeaseLost { .. }) => {}
                Err(error) => {
                    tracing::warn!(plan.id = id, error = chain_of(&error), "plan {id} rests")
                }
            }
        }
        Ok(())
    }

    /// Fills once for each instance in which something arrived since the last time. Answers the plans it made.
    ///
    /// Cut off in the middle, the same changes are looked at again.
    ///
    /// # Errors
    ///
    /// See [`OrdersError`].
    pub async fn fill_arrived(
        &self,
        config: &OrdersConfig,
        owner: &str,
    ) -> Result<Vec<i64>, OrdersError> {
        let store = self.mirror.store();
        let mut made = Vec::new();
        for instance in self.mirror.instances() {
            if self.understood(&instance).is_err() {
                continue;
            }
            let known = store.order_watch(&instance).await?;
            let from = known
                .as_deref()
                .and_then(|text| text.parse().ok())
                .unwrap_or_default();
            let (to, is_touched) = self.read_on(from, &instance).await?;
            if is_touched && let Some(id) = self.fill(config, &instance).await? {
                made.push(id);
                if config.fill == FillMode::Apply {
                    self.approve(id, NAME).await?;
                    self.apply(id, owner).await?;
                }
            }
            if to != from {
                store.set_order_watch(&instance, &to.to_string()).await?;
            }
        }
        Ok(made)
    }

    /// Reads the feed to its end: where that is, and whether anything of the instance stands in it.
    async fn read_on(
        &self,
        from: ChangeCursor,
        instance: &str,
    ) -> Result<(ChangeCursor, bool), OrdersError> {
        let (mut at, mut touched) = (from, BTreeSet::new());
        loop {
            let (changes, next) = self.mirror.store().changes_after(at, BATCH).await?;
            let mine = changes.iter().filter(|change| change.instance == instance);
            touched.extend(mine.map(|change| change.resource.clone()));
            if changes.is_empty() {
                return Ok((at, WATCHED.iter().any(|name| touched.contains(*name))));
            }
            at = next;
        }
    }

    async fn fill(
        &self,
        config: &OrdersConfig,
        instance: &str,
    ) -> Result<Option<i64>, OrdersError> {
        let ask = PlanAsk {
            op: orders::Op::Fill,
            through: config.through,
            may_convert: config.may_convert,
            ..PlanAsk::of(instance)
        };
        self.propose(&ask, NAME, true).await
    }
}

//! Order workflows: plan on the mirror without a call, look at it, approve it, and write it through the API.

mod amount;
mod apply;
mod ask;
mod bodies;
mod cin7;
mod documents;
mod explain;
mod hold;
mod read;
mod recheck;
mod upstream;
mod view;
mod watch;

use std::time::Duration;

use mirror::{Mirror, MirrorError};
use orders::{Op, input::Strength, plan::Plan};
use store::{
    StoreError,
    orders::{NewClaim, NewPlan, Node, PlanChange, PlanRow, Proposed},
};

pub use self::{
    apply::Pace,
    ask::{PlanAsk, Rules, Serves, Through},
    explain::Explanation,
    hold::HoldAsk,
    read::LeftOut,
    view::{PlanView, ShipmentView, ShortView, StepView, WriteView},
};
use self::{apply::Run, documents::Documents, read::UPSTREAM};

/// How long the fill job rests between two rounds unless configuration says otherwise.
pub(crate) const FILL_EVERY: Duration = Duration::from_secs(15);

/// How far shipments of the fill job go unless configuration says otherwise.
pub(crate) const FILL_THROUGH: Through = Through::Pick;

/// Who makes claims that no person made.
pub(crate) const PLANNER: &str = "plan";

/// A plan is made anew so often at the most when claims move while it is made.
const ATTEMPTS_MAX: usize = 4;

/// Why an order workflow did not go on.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// The database.
    #[error("the database of order plans failed")]
    Store(#[from] StoreError),
    /// The mirror, or upstream through it.
    #[error("the mirror could not help")]
    Mirror(#[from] MirrorError),
    /// The instance is of a kind whose orders nobody here can read.
    #[error(
        "orders of `{instance}` cannot be planned: only Cin7 Core's are understood, and it is `{connector}`"
    )]
    NotUnderstood {
        /// The instance.
        instance: String,
        /// Its connector.
        connector: String,
    },
    /// A name that should be one and is not.
    #[error("{0}")]
    Name(String),
    /// The policies contradict themselves.
    #[error("this cannot be planned: {0}")]
    Input(orders::InputErrors),
    /// The plan breaks its own rules; it is not stored.
    #[error("the plan breaks {invariant}: {text}; it is not stored")]
    Broken {
        /// The invariant.
        invariant: &'static str,
        /// How.
        text: String,
    },
    /// Claims keep moving while the plan is made.
    #[error("claims in `{instance}` moved {ATTEMPTS_MAX} times while the plan was made")]
    Moving {
        /// The instance.
        instance: String,
    },
    /// What was asked of the plan is not possible in its state.
    #[error("plan {plan} is {state}")]
    NotNow {
        /// The plan.
        plan: i64,
        /// Its state.
        state: String,
    },
    /// Another process applies the plan.
    #[error("another process is applying plan {plan}")]
    Busy {
        /// The plan.
        plan: i64,
    },
    /// Another process took the plan over; this one wrote nothing more.
    #[error("another process took plan {plan} over")]
    LeaseLost {
        /// The plan.
        plan: i64,
    },
    /// Upstream cannot be written to now; the plan goes on where it is when it is applied again.
    #[error("plan {plan} rests: {why}")]
    Paused {
        /// The plan.
        plan: i64,
        /// Why.
        why: String,
        /// When to go on, if somebody knows.
        wait: Option<Duration>,
    },
    /// Units that are not there to be held.
    #[error("the units cannot be held")]
    Hold(#[source] store::orders::ClaimError),
    /// A document that is not what it should be.
    #[error("{what} `{id}` is gone or cannot be read")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Which one.
        id: String,
    },
    /// A stored plan of another build.
    #[error("plan {plan} was stored in a form that this build does not read")]
    Stored {
        /// The plan.
        plan: i64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The workflows over one mirror. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    mirror: Mirror,
    pace: Pace,
}

impl Orders {
    /// The workflows over `mirror`.
    pub fn new(mirror: Mirror) -> Self {
        Self {
            mirror,
            pace: Pace::default(),
        }
    }

    /// The same, with another patience.
    pub fn with_pace(mirror: Mirror, pace: Pace) -> Self {
        Self { mirror, pace }
    }

    /// Plans from the mirror, without a call, and stores the plan with the claims it leaves.
    ///
    /// # Errors
    ///
    /// See [`OrdersError`]; nothing is stored then.
    pub async fn plan(&self, ask: &PlanAsk, by: &str) -> Result<PlanView, OrdersError> {
        match self.propose(ask, by, false).await? {
            Some(id) => self.show(id).await,
            None => Err(OrdersError::Moving {
                instance: ask.instance.clone(),
            }),
        }
    }

    /// Stores a plan; `None`: it ships nothing, and only one that does was asked for.
    async fn propose(
        &self,
        ask: &PlanAsk,
        by: &str,
        must_ship: bool,
    ) -> Result<Option<i64>, OrdersError> {
        self.understood(&ask.instance)?;
        if let Some(serves) = &ask.serves {
            self.understood(&serves.instance)?;
            if serves.instance == ask.instance {
                let text = format!("`{}` cannot buy from itself", ask.instance);
                return Err(OrdersError::Name(text));
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = read::snapshot(&self.mirror, ask).await?;
            let (op, input) = (ask.op, snapshot.input.clone());
            // Minutes of thought are no work for a thread that others wait for.
            let decided = tokio::task::spawn_blocking(move || {
                let plan = orders::plan(op, &input)?;
                let broken = orders::check(&input, &plan).into_iter().next();
                Ok((plan, broken))
            });
            let decided: Result<_, orders::InputErrors> = decided
                .await
                .map_err(|error| OrdersError::Name(format!("the decision failed: {error}")))?;
            let (plan, broken) = decided.map_err(OrdersError::Input)?;
            if let Some(broken) = broken {
                return Err(OrdersError::Broken {
                    invariant: broken.invariant,
                    text: broken.text,
                });
            }
            let documents = documents::documents(ask, &snapshot, &plan);
            if must_ship && documents.shipments.is_empty() {
                return Ok(None);
            }
            match self
                .store_plan(ask, by, &snapshot, &plan, &documents)
                .await?
            {
                Proposed::Stored(id) => {
                    tracing::info!(
                        plan.id = id,
                        api.name = ask.instance,
                        shipments = documents.shipments.len(),
                        "proposed plan {id} for {}",
                        ask.instance
                    );
                    let data = serde_json::json!({ "plan": id, "shipments": documents.shipments.len(), "by": by });
                    self.tell("orders:plan:proposed", &ask.instance, &data)
                        .await;
                    return Ok(Some(id));
                }
                Proposed::Moved | Proposed::Oversold => {}
            }
        }
        Err(OrdersError::Moving {
            instance: ask.instance.clone(),
        })
    }

    async fn store_plan(
        &self,
        ask: &PlanAsk,
        by: &str,
        snapshot: &read::Snapshot,
        plan: &Plan,
        documents: &Documents,
    ) -> Result<Proposed, OrdersError> {
        let claims: Vec<NewClaim> = plan
            .claims
            .iter()
            .map(|claim| new_claim(claim, snapshot))
            .collect();
        let shipped = shipped(plan, documents, snapshot.input.now);
        let nodes = nodes(snapshot, &claims);
        let new = NewPlan {
            instance: &ask.instance,
            op: if ask.serves.is_some() {
                CROSS
            } else {
                op_name(ask.op)
            },
            by,
            ask: &json_of(ask),
            input: &json_of(&snapshot.input),
            plan: &json_of(plan),
            documents: &json_of(documents),
            summary: &view::summary(plan, documents).to_string(),
            ledger: snapshot.ledger.version,
            nodes: &nodes,
            claims: &claims,
            shipped: &shipped,
        };
        Ok(self.mirror.store().propose_plan(&new).await?)
    }

    /// Plans, newest first; of one instance or state if they are named.
    ///
    /// # Errors
    ///
    /// The database's own.
    pub async fn list(
        &self,
        instance: Option<&str>,
        state: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<PlanRow>, OrdersError> {
        Ok(self
            .mirror
            .store()
            .plans(instance, state, before, limit)
            .await?)
    }

    /// One plan: what it would write, or has written, and what it leaves short.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] when there is none.
    pub async fn show(&self, id: i64) -> Result<PlanView, OrdersError> {
        let store = self.mirror.store();
        let row = store.load_plan(id).await?;
        let parts = store.load_plan_parts(id).await?;
        let (plan, documents) = (
            stored::<Plan>(id, &parts.plan)?,
            stored::<Documents>(id, &parts.documents)?,
        );
        let (intents, shipments) = (store.intents(id).await?, store.shipments(id).await?);
        Ok(view::plan_view(row, &plan, &documents, intents, shipments))
    }

    /// Approves a proposal; twice is as good as once. The units its shipments take are hard from then on.
    ///
    /// # Errors
    ///
    /// [`OrdersError::NotNow`] when it was cancelled or superseded.
    pub async fn approve(&self, id: i64, by: &str) -> Result<(), OrdersError> {
        let changed = self.mirror.store().approve_plan(id, by).await?;
        if changed == PlanChange::Made {
            let instance = self.mirror.store().load_plan(id).await?.instance;
            self.tell(
                "orders:plan:approved",
                &instance,
                &serde_json::json!({ "plan": id, "by": by }),
            )
            .await;
        }
        told(id, changed)
    }

    /// Cancels a plan whose apply has not begun; twice is as good as once.
    ///
    /// # Errors
    ///
    /// [`OrdersError::NotNow`] when it was applied.
    pub async fn cancel(&self, id: i64, by: &str) -> Result<(), OrdersError> {
        let changed = self.mirror.store().cancel_plan(id, by).await?;
        if changed == PlanChange::Made {
            let instance = self.mirror.store().load_plan(id).await?.instance;
            let data = serde_json::json!({ "plan": id, "by": by });
            self.tell("orders:plan:cancelled", &instance, &data).await;
        }
        told(id, changed)
    }

    /// Writes an approved plan upstream, or goes on where an earlier apply was cut off. A plan that is through is
    /// left alone: the same apply sent twice writes once.
    ///
    /// Dropping the future leaves every write as a row that says how far it came; a later apply goes on from there.
    ///
    /// # Errors
    ///
    /// [`OrdersError::Busy`] while another process applies it, [`OrdersError::NotNow`] before it is approved,
    /// [`OrdersError::Paused`] when upstream has no call left: apply it again later.
    pub async fn apply(&self, id: i64, owner: &str) -> Result<PlanView, OrdersError> {
        let store = self.mirror.store();
        let Some(lease) = store.take_plan(id, owner, self.pace.lease).await? else {
            let row = store.load_plan(id).await?;
            return match row.state.as_str() {
                "done" | "partial" | "needs_person" => self.show(id).await,
                "applying" => Err(OrdersError::Busy { plan: id }),
                _ => Err(OrdersError::NotNow {
                    plan: id,
                    state: row.state,
                }),
            };
        };
        let row = store.load_plan(id).await?;
        self.understood(&row.instance)?;
        let documents = stored(id, &store.load_plan_parts(id).await?.documents)?;
        let mut run = Run::new(
            &self.mirror,
            self.pace,
            lease.clone(),
            documents,
            row.made_at,
        )
        .await?;
        match run.run().await {
            Ok((state, why)) => {
                if !store.end_plan(&lease, state, why.as_deref()).await? {
                    return Err(OrdersError::LeaseLost { plan: id });
                }
                tracing::info!(
                    plan.id = id,
                    api.name = row.instance,
                    "plan {id} is {state}"
                );
                let data = serde_json::json!({ "plan": id, "state": state, "why": why });
                self.tell("orders:plan:ended", &row.instance, &data).await;
                self.show(id).await
            }
            Err(OrdersError::LeaseLost { plan }) => Err(OrdersError::LeaseLost { plan }),
            Err(error) => {
                // Whoever comes next goes on where this stopped.
                let (why, wait) = match &error {
                    OrdersError::Paused { why, wait, .. } => {
                        (why.clone(), wait.unwrap_or_default())
                    }
                    other => (crate::cli::chain_of(other), Duration::ZERO),
                };
                store.put_plan_down(&lease, wait, &why).await?;
                Err(error)
            }
        }
    }

    /// Tells an event; a plan does not fail because nobody could be told.
    async fn tell(&self, name: &str, instance: &str, data: &serde_json::Value) {
        if let Err(error) = self.mirror.store().tell(name, Some(instance), data).await {
            tracing::warn!(
                error = crate::cli::chain_of(&error),
                "an event could not be told"
            );
        }
    }

    fn understood(&self, instance: &str) -> Result<(), OrdersError> {
        let Some(connector) = self.mirror.connector(instance) else {
            return Err(MirrorError::Unknown {
                what: "instance",
                name: instance.to_owned(),
                known: self.mirror.instances().join(", "),
            }
            .into());
        };
        if connector.name == "cin7" {
            return Ok(());
        }
        Err(OrdersError::NotUnderstood {
            instance: instance.to_owned(),
            connector: connector.name.clone(),
        })
    }
}

fn told(plan: i64, change: PlanChange) -> Result<(), OrdersError> {
    match change {
        PlanChange::Made | PlanChange::Stood => Ok(()),
        PlanChange::NotNow(state) => Err(OrdersError::NotNow { plan, state }),
    }
}

fn stored<T: serde::de::DeserializeOwned>(plan: i64, text: &str) -> Result<T, OrdersError> {
    serde_json::from_str(text).map_err(|source| OrdersError::Stored { plan, source })
}

/// A plan that serves another instance.
const CROSS: &str = "cross";

/// The block's name in rows.
pub(crate) fn op_name(op: Op) -> &'static str {
    match op {
        Op::Split => "split",
        Op::Allocate => "allocate",
        Op::Pick => "pick",
        Op::Fill => "fill",
    }
}

fn new_claim(claim: &orders::input::Allocation, snapshot: &read::Snapshot) -> NewClaim {
    let date = |day: orders::Day| {
        day.to_string()
            .parse()
            .unwrap_or(jiff::civil::Date::constant(1970, 1, 1))
    };
    let known = snapshot
        .ledger
        .claims
        .iter()
        .find(|known| known.id == claim.id);
    let by = match known {
        Some(known) => known.by.as_str(),
        None if claim.id.starts_with(&format!("{UPSTREAM}/")) => UPSTREAM,
        None => PLANNER,
    };
    NewClaim {
        id: claim.id.clone(),
        order: claim.order.clone(),
        line: claim.line.clone(),
        node: claim.node.clone(),
        qty: claim.qty,
        hard: claim.strength == Strength::Hard,
        made: date(claim.made),
        expires: claim.expires.map(date),
        by: by.to_owned(),
        reason: known.map(|known| known.reason.clone()).unwrap_or_default(),
    }
}

/// Ids of the claims whose units today's shipments take.
fn shipped(plan: &Plan, documents: &Documents, now: orders::Day) -> Vec<String> {
    let meant: std::collections::HashSet<&str> = documents
        .shipments
        .iter()
        .map(|doc| doc.order.as_str())
        .collect();
    let mut taken = std::collections::HashSet::new();
    for shipment in plan
        .shipments
        .iter()
        .filter(|shipment| shipment.date == now && meant.contains(shipment.order.as_str()))
    {
        for take in &shipment.takes {
            taken.insert((shipment.order.as_str(), take.node.as_str()));
        }
    }
    let claims = plan
        .claims
        .iter()
        .filter(|claim| taken.contains(&(claim.order.as_str(), claim.node.as_str())));
    claims.map(|claim| claim.id.clone()).collect()
}

/// What the claimed nodes have: units that nobody outside the plan has a right to.
fn nodes(snapshot: &read::Snapshot, claims: &[NewClaim]) -> Vec<Node> {
    let claimed: std::collections::BTreeSet<&str> =
        claims.iter().map(|claim| claim.node.as_str()).collect();
    let lots = snapshot
        .input
        .lots
        .iter()
        .map(|lot| (&lot.id, &lot.sku, lot.qty - lot.external));
    let inbound = snapshot
        .input
        .inbound
        .iter()
        .map(|line| (&line.id, &line.sku, line.qty));
    lots.chain(inbound)
        .filter(|(id, ..)| claimed.contains(id.as_str()))
        .map(|(id, sku, free)| Node {
            node: id.clone(),
            sku: sku.clone(),
            free: free.max(0),
        })
        .collect()
}

fn json_of(value: &impl serde::Serialize) -> String {
    // Nothing that is stored has a form JSON lacks.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

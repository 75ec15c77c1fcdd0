//! Why a record or payload was or was not refreshed.

use freshness::{Policy, Reason};
use jiff::Timestamp;
use serde::Serialize;
use store::ResourceName;

use super::attend::load;
use crate::{
    Mirror,
    error::{MirrorError, Result},
};

/// Why a record or payload was or was not refreshed, and what is known of it.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// Its table.
    pub resource: String,
    /// Its instance.
    pub instance: String,
    /// Its row's id.
    pub id: String,
    /// The instance's policy: `tiers` or `priced`.
    pub policy: &'static str,
    /// All of it in a sentence.
    pub text: String,
    /// What would happen to the next reader: `calling`, `no_calls`, `alive`, `expired`, `worth` or `not_worth`.
    pub reason: &'static str,
    /// What was decided for the last reader; absent: nothing was.
    pub last_decision: Option<LastDecision>,
    /// Seconds since upstream was last known to say what the mirror says.
    pub age_secs: f64,
    /// Changes a day, as learned.
    pub changes_per_day: f64,
    /// Changes that this rests on.
    pub changes_seen: f64,
    /// Reads an hour, as learned.
    pub reads_per_hour: f64,
    /// The probability that the copy is stale, 0 to 1.
    pub stale: f64,
    /// Stale reads that a call would save.
    pub saves: f64,
    /// Stale reads that a call has to save at the moment.
    pub price: f64,
    /// Seconds until a call for it is worth the price although nobody asks; absent: not before the promise.
    pub due_in_secs: Option<f64>,
    /// Seconds until the promised maximum age.
    pub promised_in_secs: f64,
    /// Its lifetime by the TTL tables, in seconds; absent: none was worked out, or it is not kept hot.
    pub ttl_secs: Option<f64>,
}

/// What was decided for a reader.
#[derive(Debug, Serialize)]
pub struct LastDecision {
    /// What the reader got.
    pub decision: String,
    /// When.
    pub at: Timestamp,
}

impl Mirror {
    /// Why a record (`connectwise.opportunity`) or a payload (`connectwise.opportunity_notes`) was or was not refreshed:
    /// what is known of it, and what would happen to the next reader. Costs no call.
    ///
    /// `None`: nobody has read it in the last day.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Unknown`] for names that mean nothing; the database's own.
    pub async fn explain(
        &self,
        resource: &ResourceName,
        instance: &str,
        id: &str,
    ) -> Result<Option<Explained>> {
        let account = self.account(instance)?;
        let is_payload = account.payloads.iter().any(|kind| kind.name == *resource);
        let id = match account.kind(resource) {
            Some(kind) => kind.id(id),
            None if is_payload => id.to_owned(),
            None => {
                let kinds = account.kinds.iter().map(|kind| kind.name.as_str());
                let payloads = account.payloads.iter().map(|kind| kind.name.as_str());
                return Err(MirrorError::Unknown {
                    what: "resource or payload",
                    name: resource.to_string(),
                    known: kinds.chain(payloads).collect::<Vec<_>>().join(", "),
                });
            }
        };
        let spending = &account.spending;
        if !spending.is_attended() {
            load(account).await?;
        }
        let allowance = spending.left.allowance(account).await;
        let now = Timestamp::now();
        let found = spending.book().explain(resource, &id, now, &allowance);
        Ok(found.map(|known| {
            let (why, ttl) = (known.explanation, known.tier);
            let secs = |duration: std::time::Duration| duration.as_secs_f64();
            Explained {
                resource: resource.to_string(),
                instance: instance.to_owned(),
                id: id.clone(),
                policy: policy_name(spending.settings.policy),
                text: why.to_string(),
                reason: reason_name(why.reason),
                last_decision: known
                    .last
                    .map(|(decision, at)| LastDecision { decision, at }),
                age_secs: secs(why.age),
                changes_per_day: why.changes_per_day,
                changes_seen: why.changes_seen,
                reads_per_hour: why.reads_per_hour,
                stale: why.stale,
                saves: why.saves,
                price: why.price,
                due_in_secs: why.worth_in.map(secs),
                promised_in_secs: secs(why.promise_in),
                ttl_secs: ttl.map(secs),
            }
        }))
    }
}

/// A policy as configuration names it.
pub(super) fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Tiers => "tiers",
        Policy::Priced => "priced",
        Policy::Optimal => "optimal",
    }
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Calling => "calling",
        Reason::NoCalls => "no_calls",
        Reason::BackgroundOnly => "background_only",
        Reason::Alive => "alive",
        Reason::Expired => "expired",
        Reason::Worth => "worth",
        Reason::NotWorth => "not_worth",
    }
}

//! What a reader gets who does not say how fresh, and the calls that this takes.

use std::{sync::Arc, time::Duration};

use freshness::Decision;
use jiff::Timestamp;
use store::read::RecordRow;
use tokio::task::JoinHandle;
use upstream::Class;

use super::book::{Sight, Target};
use crate::{
    Mirror,
    account::Account,
    error::Result,
    listing::chain,
    payload::PayloadKind,
    reading::{Calling, ReadAnswer, ReadAsk},
};

/// What the TTL tables say of a value, if they were asked.
pub(crate) type Tier = Option<Option<Duration>>;

impl Mirror {
    /// The answer for a reader of `target`, of which `answer` is there: the answer itself, or a fresher one if the policy
    /// finds that worth a call. `None`: it is gone upstream. `tier` is what the TTL tables say, if they were asked.
    ///
    /// Dropping the future does not stop a call that was decided on.
    pub(crate) async fn by_policy(
        &self,
        account: &Account,
        target: Target,
        answer: ReadAnswer,
        ask: ReadAsk,
        tier: Tier,
    ) -> Option<ReadAnswer> {
        let spending = &account.spending;
        let now = Timestamp::now();
        let Some(known) = learn(account, &target, &answer, now) else {
            return Some(answer);
        };
        if let Some(tier) = tier {
            spending.book().set_tier(&target, tier, now);
        }
        if !spending.is_priced() || ask.max_age.is_some() || ask.fresh {
            spending.book().note_read(&target, now);
            return Some(answer);
        }
        let allowance = spending.left.allowance(account).await;
        let decision = spending.book().decide(&target, now, &allowance);
        if decision == Decision::Serve {
            return Some(answer);
        }
        spending.left.spend().await;
        let call = self.call_for(account, target, known);
        if decision == Decision::ServeThenRefresh {
            return Some(answer);
        }
        match tokio::time::timeout(spending.settings.patience, call).await {
            Ok(Ok(Ok(Some(fresher)))) if fresher.stale.is_none() => Some(fresher),
            Ok(Ok(Ok(None))) => None,
            // Upstream does not answer, or not soon: the copy is as young as promised.
            _ => Some(answer),
        }
    }

    /// Hears of a reader of `target` who was given what there was, without a choice.
    pub(crate) fn note_read(&self, account: &Account, target: &Target, answer: &ReadAnswer) {
        let now = Timestamp::now();
        if learn(account, target, answer, now).is_some() {
            account.spending.book().note_read(target, now);
        }
    }

    /// Calls in a task of its own: whoever asked may go away.
    fn call_for(
        &self,
        account: &Account,
        target: Target,
        known: Timestamp,
    ) -> JoinHandle<Result<Option<ReadAnswer>>> {
        let (mirror, instance) = (self.clone(), account.settings.name.clone());
        tokio::spawn(async move {
            let account = mirror.account(&instance)?;
            mirror.fetch_for_policy(account, &target, known).await
        })
    }

    /// Fetches what a desk has promised to, whose copy was `known` as of then, and tells the desk what came of it.
    pub(super) async fn fetch_for_policy(
        &self,
        account: &Account,
        target: &Target,
        known: Timestamp,
    ) -> Result<Option<ReadAnswer>> {
        let spending = &account.spending;
        let fetched = self.fetch_target(account, target, known).await;
        let now = Timestamp::now();
        match &fetched {
            Ok(Some(answer)) if answer.stale.is_none() => {
                let row = &answer.record;
                let as_of = row.as_of;
                if !spending.see(target, row, as_of, now) {
                    spending.book().not_fetched(target);
                }
            }
            Ok(None) => spending.book().gone(&target.resource, &target.id),
            Ok(Some(answer)) => {
                let why = answer.stale.as_deref().unwrap_or("upstream did not answer");
                tracing::debug!(
                    instance.name = account.settings.name,
                    record.key = target.id,
                    why,
                    "{} was worth a call and did not come",
                    target.resource,
                );
                spending.book().not_fetched(target);
            }
            Err(error) => {
                tracing::debug!(
                    instance.name = account.settings.name,
                    record.key = target.id,
                    error = chain(error),
                    "{} was worth a call and did not come",
                    target.resource,
                );
                spending.book().not_fetched(target);
            }
        }
        fetched
    }

    async fn fetch_target(
        &self,
        account: &Account,
        target: &Target,
        known: Timestamp,
    ) -> Result<Option<ReadAnswer>> {
        let instance = account.settings.name.as_str();
        let age = Duration::try_from(Timestamp::now().duration_since(known)).unwrap_or_default();
        // What is as old as what was known has to be fetched; what somebody has fetched since need not.
        let max_age = age.saturating_sub(Duration::from_millis(1));
        let payload = account
            .payloads
            .iter()
            .find(|kind| kind.name == target.resource);
        let Some(kind) = payload else {
            let ask = ReadAsk {
                max_age: Some(max_age),
                fresh: false,
            };
            let calling = Calling::of(Class::Due);
            let answer = self
                .record_kept(&target.resource, instance, &target.id, ask, calling)
                .await?;
            return Ok(answer.filter(|answer| answer.record.deleted_at.is_none()));
        };
        let kind: &Arc<PayloadKind> = kind;
        let parent = account
            .store
            .find_record(
                &kind.parent.name,
                instance,
                &target.record,
                &kind.parent.feed,
            )
            .await?
            .filter(|row| row.deleted_at.is_none());
        let Some(parent) = parent else {
            return Ok(None);
        };
        let Some(key) = kind.key(&parent).filter(|key| key.row_id() == target.id) else {
            return Ok(None);
        };
        let life = kind.ttl(account, &parent, Timestamp::now()).await?;
        self.payload_due(account, kind, &Arc::new(parent), &key, (life, max_age))
            .await
    }
}

/// Learns from what a reader is about to get; says as of when upstream is known to say it. `None`: nothing is learned.
fn learn(
    account: &Account,
    target: &Target,
    answer: &ReadAnswer,
    now: Timestamp,
) -> Option<Timestamp> {
    let spending = &account.spending;
    if !spending.is_attended() {
        return None;
    }
    if answer.record.deleted_at.is_some() {
        spending.book().gone(&target.resource, &target.id);
        return None;
    }
    let known = spending.confirmed(&answer.record, target, account);
    spending.see(target, &answer.record, known, now);
    Some(known)
}

impl super::Spending {
    /// Learns from a row that upstream is known to have said as of then.
    pub(super) fn see(
        &self,
        target: &Target,
        row: &RecordRow,
        as_of: Timestamp,
        now: Timestamp,
    ) -> bool {
        let sight = Sight {
            version: row.version,
            own_at: row.as_of,
            as_of,
            stamp: row.upstream_at,
        };
        self.book().see(target, sight, now)
    }
}

//! What keeps a desk going in a process that stays: what was learned is loaded, saved, and shared with other processes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use freshness::{READ_FADE, SharedState};
use jiff::{SignedDuration, Timestamp};
use store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    book::{KEPT, RECORDS_MAX},
    told::Told,
};
use crate::{account::Account, listing::chain};

/// Between two looks at what other processes learned and what feeds told.
const EVERY: Duration = Duration::from_millis(500);

/// How often what was learned is saved.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// How often what was learned over all records together is saved, and what nobody reads is forgotten.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// Records saved, and taken over from others, in one statement.
const BATCH: usize = 1_000;

/// Statements of one save; what is left is saved with the next.
const BATCHES_MAX: usize = 10;

/// What others saved is read again from so long before the last look on: it may have been committed late.
const LATE: SignedDuration = SignedDuration::from_secs(5);

/// Attends to an account's desk until `stop`, unless somebody in this process does already.
pub(crate) async fn attend(account: Arc<Account>, stop: CancellationToken) {
    let spending = &account.spending;
    if account.payloads.is_empty() && account.hot_kinds().next().is_none() {
        return;
    }
    if spending.is_taken.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut attendant = Attendant {
        account: &account,
        heard: Timestamp::UNIX_EPOCH,
        told: Told::default(),
        saved: Instant::now(),
        kept: Instant::now(),
        is_loaded: false,
    };
    loop {
        if let Err(error) = attendant.look().await {
            tracing::debug!(
                instance.name = account.settings.name,
                error = chain(&error),
                "what was learned of records was not shared"
            );
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    spending.is_attended.store(false, Ordering::Relaxed);
    spending.is_taken.store(false, Ordering::Relaxed);
    if !attendant.is_loaded {
        // What is there is better than what little was seen here.
        return;
    }
    if let Err(error) = attendant.save_all().await {
        tracing::debug!(
            instance.name = account.settings.name,
            error = chain(&error),
            "what was learned of records last was not saved"
        );
    }
}

struct Attendant<'a> {
    account: &'a Account,
    /// Up to when others were heard, by the database's clock.
    heard: Timestamp,
    told: Told,
    saved: Instant,
    kept: Instant,
    is_loaded: bool,
}

impl Attendant<'_> {
    async fn look(&mut self) -> Result<(), StoreError> {
        if !self.is_loaded {
            self.heard = load(self.account).await?;
            self.is_loaded = true;
            self.account
                .spending
                .is_attended
                .store(true, Ordering::Relaxed);
        }
        self.told.hear(self.account).await?;
        let spending = &self.account.spending;
        if self.saved.elapsed() >= SAVE_EVERY {
            self.saved = Instant::now();
            self.save().await?;
            self.hear().await?;
        }
        if self.kept.elapsed() >= KEEP_EVERY {
            self.kept = Instant::now();
            let now = Timestamp::now();
            spending.book().forget(now);
            let (store, name) = (&self.account.store, &self.account.settings.name);
            store.forget_learned(name, now - KEPT).await?;
            self.save_together().await?;
        }
        Ok(())
    }

    async fn save(&self) -> Result<(), StoreError> {
        let (account, spending) = (self.account, &self.account.spending);
        let (store, name) = (&account.store, &account.settings.name);
        for _ in 0..BATCHES_MAX {
            let rows = spending.book().unsaved(BATCH);
            if rows.is_empty() {
                break;
            }
            let saved = store.save_learned(name, &spending.by, READ_FADE, &rows);
            if let Err(error) = saved.await {
                spending.book().not_saved(&rows);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn save_together(&self) -> Result<(), StoreError> {
        let (store, name) = (&self.account.store, &self.account.settings.name);
        let state = self.account.spending.book().shared(Timestamp::now());
        store.save_learned_together(name, state.as_bytes()).await
    }

    async fn save_all(&self) -> Result<(), StoreError> {
        self.save().await?;
        self.save_together().await
    }

    /// Takes over what other processes learned since the last look.
    async fn hear(&mut self) -> Result<(), StoreError> {
        let (account, spending) = (self.account, &self.account.spending);
        let (store, name) = (&account.store, &account.settings.name);
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let mut since = self.heard.saturating_sub(LATE).unwrap_or(self.heard);
        for _ in 0..BATCHES_MAX {
            let rows = store
                .learned_since(name, &spending.by, since, limit)
                .await?;
            let now = Timestamp::now();
            let mut book = spending.book();
            for row in &rows {
                since = since.max(row.saved_at);
                if row.saved_at > self.heard {
                    book.adopt(row, now);
                }
            }
            if rows.len() < BATCH {
                break;
            }
        }
        self.heard = self.heard.max(since);
        Ok(())
    }
}

/// Loads what is kept of an account's records into its desk. Answers up to when, by the database's clock.
pub(super) async fn load(account: &Account) -> Result<Timestamp, StoreError> {
    let (store, name) = (&account.store, &account.settings.name);
    let limit = i64::try_from(RECORDS_MAX).unwrap_or(i64::MAX);
    let together = store.learned_together(name).await?;
    let (rows, as_of) = store.learned_of(name, limit).await?;
    let now = Timestamp::now();
    let mut book = account.spending.book();
    // A state of another version is dropped: it is learned anew.
    if let Some(state) = together.and_then(|bytes| SharedState::from_bytes(&bytes).ok()) {
        book.resume(&state, now);
    }
    for row in &rows {
        book.adopt(row, now);
    }
    Ok(as_of)
}

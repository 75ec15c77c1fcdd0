//! Sync jobs and their schedule: changes, full, reconcile, backfill, sweep, verify.

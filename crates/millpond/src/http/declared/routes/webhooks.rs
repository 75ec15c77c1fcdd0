//! The routes of webhooks.

use super::super::{
    BEFORE, DELIVERY_STATE, Declared, LIMIT, Needs::Admin, OF_TENANT, reads, writes,
};
use crate::http::webhooks;

/// The routes of webhooks.
pub const DECLARED: &[Declared] = &[
    reads(
        "GET",
        "/v1/webhooks",
        Admin,
        "Webhooks, by name, without their secrets",
    )
    .query(&[OF_TENANT])
    .answer("Webhooks"),
    writes(
        "POST",
        "/v1/webhooks",
        Admin,
        &[],
        "Make a webhook; its secret is shown this once",
    )
    .body::<webhooks::WebhookValues>()
    .answer("NewWebhook")
    .status(201),
    reads("GET", "/v1/webhooks/{name}", Admin, "One webhook")
        .query(&[OF_TENANT])
        .answer("Webhook"),
    writes(
        "PATCH",
        "/v1/webhooks/{name}",
        Admin,
        &[],
        "Change where and of what a webhook is told, and whether",
    )
    .query(&[OF_TENANT])
    .body::<webhooks::WebhookChanges>()
    .answer("Webhook"),
    writes(
        "DELETE",
        "/v1/webhooks/{name}",
        Admin,
        &[],
        "Delete a webhook with its deliveries",
    )
    .query(&[OF_TENANT])
    .status(204),
    writes(
        "POST",
        "/v1/webhooks/{name}/rotate",
        Admin,
        &[],
        "Give a webhook a new secret, shown this once; for a day both sign",
    )
    .query(&[OF_TENANT])
    .answer("NewWebhook"),
    reads(
        "GET",
        "/v1/webhooks/{name}/deliveries",
        Admin,
        "What was sent, what waits, what was given up and why; newest first",
    )
    .query(&[OF_TENANT, DELIVERY_STATE, BEFORE, LIMIT])
    .answer("Deliveries"),
    writes(
        "POST",
        "/v1/webhooks/{name}/replay",
        Admin,
        &[],
        "Tell a webhook again: a dead delivery, all of them, or changes from a place or time on",
    )
    .query(&[OF_TENANT])
    .body::<webhooks::ReplayAsk>()
    .answer("Replayed")
    .status(202),
];

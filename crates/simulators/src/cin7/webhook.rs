//! Webhooks: who wants to hear of what.

use super::json::J;
use super::server::Service;
use std::sync::Arc;

/// The webhooks of one account.
#[derive(Debug, Default)]
pub(crate) struct Hooks {}

impl Hooks {
    pub(crate) fn document(&self) -> J<'_> {
        J::Obj(vec![("Webhooks", J::Arr(vec![]))])
    }
}

pub(crate) async fn courier(service: Arc<Service>) {
    service.stop.cancelled().await;
}

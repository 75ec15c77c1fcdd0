//! A permit in use: it goes back to its gate whatever happens to the call.

use std::sync::Arc;

use crate::gate::{Gate, Outcome, Permit};

/// A permit in use. Dropped without [`Held::done`], it goes back as used or unused, by whether anything was sent.
pub(super) struct Held {
    gate: Arc<dyn Gate>,
    permit: Option<Permit>,
    connection: String,
    /// Whether the request may have gone out.
    pub(super) sent: bool,
}

impl Held {
    pub(super) fn new(gate: Arc<dyn Gate>, permit: Permit) -> Held {
        Held {
            gate,
            connection: permit.connection.clone(),
            permit: Some(permit),
            sent: false,
        }
    }

    pub(super) fn connection(&self) -> &str {
        &self.connection
    }

    /// Gives the permit back. Dropping the future does not stop that.
    pub(super) async fn done(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let gate = self.gate.clone();
        let task = tokio::spawn(async move { gate.give_back(permit, outcome).await });
        if let Err(error) = task.await {
            tracing::error!(%error, connection = self.connection, "a permit could not be given back");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let outcome = if self.sent {
            Outcome::Used
        } else {
            Outcome::Unused
        };
        let gate = self.gate.clone();
        // Without a runtime the process is ending; the gate lets the permit run out.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { gate.give_back(permit, outcome).await });
        }
    }
}

//! Order workflows: plans, the ledger of claims, and what is to be written upstream.
//!
//! Claims of one instance change under the lock of its ledger row, and never exceed what their node has: the database
//! holds that, not its callers.

mod claims;
mod intents;
mod lease;
mod plans;
mod records;

pub use claims::{Claim, ClaimEnd, ClaimError, Claimed, Ledger, NewClaim, Node};
pub use intents::{Intent, IntentState, NewIntent, ShipmentRow};
pub use lease::PlanLease;
pub use plans::{NewPlan, PlanChange, PlanParts, PlanRow, Proposed};
pub use records::Body;

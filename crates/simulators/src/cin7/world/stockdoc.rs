//! Stock transfers, stock adjustments and stocktakes.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferStatus {
    Draft,
    Ordered,
    InTransit,
    Completed,
    Voided,
}

impl TransferStatus {
    pub(crate) fn text(self) -> &'static str {
        match self {
            TransferStatus::Draft => "DRAFT",
            TransferStatus::Ordered => "ORDERED",
            TransferStatus::InTransit => "IN TRANSIT",
            TransferStatus::Completed => "COMPLETED",
            TransferStatus::Voided => "VOIDED",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub id: Uuid,
    pub number: String,
    pub status: TransferStatus,
    pub from: u16,
    pub to: u16,
    pub departed: Option<Date>,
    pub completed: Option<Date>,
    pub required: Option<Date>,
    pub in_transit_account: String,
    pub cost_distribution: String,
    pub reference: String,
    pub skip_order: bool,
    pub order: Option<&'static str>,
    pub order_lines: Vec<TransferLine>,
    pub lines: Vec<TransferLine>,
    /// What left the source, by place: goes back there when the transfer is voided.
    pub left: Vec<(super::stock::CardKey, Decimal)>,
    pub modified: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct TransferLine {
    pub product: u32,
    pub quantity: Decimal,
    pub batch: u32,
    pub on_hand: Decimal,
    pub available: Decimal,
    pub comments: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountStatus {
    Draft,
    InProgress,
    Completed,
    Voided,
}

impl CountStatus {
    pub(crate) fn text(self) -> &'static str {
        match self {
            CountStatus::Draft => "DRAFT",
            CountStatus::InProgress => "IN PROGRESS",
            CountStatus::Completed => "COMPLETED",
            CountStatus::Voided => "VOIDED",
        }
    }
}

/// An adjustment, or a stocktake of one warehouse.
#[derive(Clone, Debug)]
pub(crate) struct Adjustment {
    pub id: Uuid,
    pub number: String,
    pub stocktake: bool,
    pub status: CountStatus,
    pub date: Date,
    pub account: String,
    pub reference: String,
    pub comment: String,
    pub location: u16,
    /// The target of a line counts what is on hand; otherwise what is available.
    pub on_hand_target: bool,
    pub lines: Vec<AdjustmentLine>,
    pub transactions: Vec<Value>,
    pub created: Timestamp,
    pub modified: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct AdjustmentLine {
    pub product: u32,
    pub place: u16,
    pub batch: u32,
    /// The new level, not the difference.
    pub target: Decimal,
    pub on_hand: Decimal,
    pub available: Decimal,
    pub cost: Decimal,
    /// There was nothing on hand before.
    pub new: bool,
    pub received: Option<Date>,
    pub comments: String,
    /// What completing it changed.
    pub applied: Decimal,
}

//! What a caller is told when an order workflow does not go on.

use crate::{cli::chain_of, http::error::ApiError, orders::OrdersError};

impl From<OrdersError> for ApiError {
    fn from(error: OrdersError) -> Self {
        let said = chain_of(&error);
        match error {
            OrdersError::Store(error) => error.into(),
            OrdersError::Mirror(error) => error.into(),
            OrdersError::NotUnderstood { .. } | OrdersError::Name(_) | OrdersError::Input(_) => {
                Self::bad_request("cannot_be_planned", said)
            }
            OrdersError::NotNow { .. } => Self::conflict("plan_not_now", said)
                .hint("`GET /v1/orders/plans/{plan}` says how it stands"),
            OrdersError::Busy { .. } | OrdersError::LeaseLost { .. } => {
                Self::conflict("plan_busy", said)
            }
            OrdersError::Hold(_) => Self::conflict("units_taken", said),
            OrdersError::Moving { .. } | OrdersError::Paused { .. } => {
                Self::unavailable("try_later", said)
            }
            OrdersError::Broken { .. }
            | OrdersError::Unreadable { .. }
            | OrdersError::Stored { .. } => Self::internal(said),
        }
    }
}

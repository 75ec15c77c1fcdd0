//! How a simulated service is set up: its accounts, its limit, and the answers to what the documentation leaves open.

use crate::latency::Latency;
use crate::limiter::Limit;
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::time::Duration;

/// Everything that decides how the simulator behaves. The same options and the same clock give the same documents.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seeds every rule that would otherwise need chance, [`tick`](super::Cin7::tick) included.
    pub seed: u64,
    /// The companies served side by side. Their record ids collide on purpose.
    pub accounts: Vec<Account>,
    /// Calls per key; `None` lifts the limit.
    pub limit: Option<Limit>,
    /// How long every answer takes.
    pub latency: Latency,
    /// Answer an exceeded limit with 503, as the service did before 2025, instead of 429.
    pub legacy_503: bool,
    /// Answer an unknown path with 404 instead of the observed 200 and an HTML page.
    pub unknown_path_404: bool,
    /// Compare `UpdatedSince` and `ModifiedSince` with `>` instead of `>=`.
    pub since_exclusive: bool,
    /// When on hand falls: the documentation does not say.
    pub on_hand_falls_at: OnHandFalls,
    /// Give goods that arrive to waiting orders, which moves the stamps of those sales.
    pub allocate_backorders: bool,
    /// Let `DELETE sale/fulfilment` undo an authorised pick, as documented. Observed is a 200 that changes nothing.
    pub fulfilment_delete_applies: bool,
    /// Refuse a `Limit` above 1000 with 400 instead of serving 1000 rows.
    pub refuse_large_limit: bool,
    /// What the simulated clock shows at the start; `None` takes the machine's time. The orders are shifted by whole
    /// days so that the newest is of the day before.
    pub start_at: Option<Timestamp>,
    /// How long after its event a webhook is sent, on the simulated clock.
    pub webhook_delay: Duration,
}

impl Default for Options {
    /// Two accounts with every order of the data set, 60 calls per 60 s and key, no added latency.
    fn default() -> Self {
        Options {
            seed: 1,
            accounts: vec![Account::gbp(), Account::eur()],
            limit: Some(Limit::default()),
            latency: Latency::None,
            legacy_503: false,
            unknown_path_404: false,
            since_exclusive: false,
            on_hand_falls_at: OnHandFalls::Pick,
            allocate_backorders: true,
            fulfilment_delete_applies: false,
            refuse_large_limit: false,
            start_at: None,
            webhook_delay: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Two accounts of 200 orders each and no limit, so that a test starts and runs fast.
    pub fn for_testing() -> Self {
        let small = |account: Account| Account {
            sales_max: 200,
            ..account
        };
        Options {
            accounts: vec![small(Account::gbp()), small(Account::eur())],
            limit: None,
            ..Options::default()
        }
    }
}

/// One company: its credentials and how much of the data set it holds.
#[derive(Clone)]
pub struct Account {
    /// Value of the `api-auth-accountid` header, a GUID. Compared without regard to case.
    pub account_id: String,
    /// Values of `api-auth-applicationkey` that this account accepts.
    pub keys: Vec<String>,
    /// The company's name, as `GET me` tells it.
    pub name: String,
    /// Base currency: `GBP`, or `EUR` with every price multiplied by [`EUR_PER_GBP`].
    pub currency: String,
    /// The newest this many invoices of the data set become sales; 20,725 is all.
    pub sales_max: usize,
    /// How many copies of each of them the account holds, each a sale of its own. 1 is the data as it is.
    pub scale: usize,
}

/// Euros per pound in accounts kept in EUR.
pub const EUR_PER_GBP: Decimal = Decimal::from_parts(117, 0, 0, false, 2);

impl Account {
    /// The pound account of the defaults.
    pub fn gbp() -> Account {
        Account {
            account_id: "5f2c1e0a-6d1b-4c55-9a53-0d6a3f1b7c01".into(),
            keys: vec!["b3a5d7f0-1111-4e6c-8a2e-0a1b2c3d4e01".into()],
            name: "Pond Gifts UK Ltd".into(),
            currency: "GBP".into(),
            sales_max: usize::MAX,
            scale: 1,
        }
    }

    /// The euro account of the defaults.
    pub fn eur() -> Account {
        Account {
            account_id: "5f2c1e0a-6d1b-4c55-9a53-0d6a3f1b7c02".into(),
            keys: vec!["b3a5d7f0-2222-4e6c-8a2e-0a1b2c3d4e02".into()],
            name: "Pond Gifts Europe GmbH".into(),
            currency: "EUR".into(),
            sales_max: usize::MAX,
            scale: 1,
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("account_id", &self.account_id)
            .field("keys", &format_args!("[{} hidden]", self.keys.len()))
            .field("name", &self.name)
            .field("currency", &self.currency)
            .field("sales_max", &self.sales_max)
            .field("scale", &self.scale)
            .finish()
    }
}

/// Which stage takes the goods out of `OnHand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHandFalls {
    /// Authorising the pick.
    Pick,
    /// Authorising the shipment; until then picked goods stay on hand and allocated.
    Ship,
}

//! How the simulated service is set up: who may call, how much it holds, and the answers to what nobody has documented.

use crate::latency::Latency;
use crate::limiter::Limit;
use jiff::Timestamp;
use std::time::Duration;

/// Everything that decides how the simulator behaves. The same options and the same clock give the same records.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seeds every rule that would otherwise need chance, [`tick`](super::ConnectWise::tick) included.
    pub seed: u64,
    /// The company served, and who may call.
    pub company: Company,
    /// How much it holds.
    pub size: Size,
    /// Calls per public key; `None` lifts the limit. The vendor publishes no quota: more than 1,000 a minute is said to
    /// be limited.
    pub limit: Option<Limit>,
    /// What `Retry-After` of a throttled call says.
    pub retry_after: Duration,
    /// Answer a throttled call with an HTML page, as a proxy in front of the service does, instead of JSON.
    pub throttle_html: bool,
    /// How long every answer takes.
    pub latency: Latency,
    /// On top of that, for each row of a listing.
    pub latency_per_row: Duration,
    /// The moment at which the records are made; `None` takes the machine's time. All dates are relative to it.
    pub start_at: Option<Timestamp>,
    /// The codebase that `companyinfo` names. `v4_6_release` is served beside it; others answer that there is no such
    /// endpoint.
    pub codebase: String,
    /// Serve https with a certificate made at the start.
    pub tls: bool,
    /// Host that `Link` and the links in records name; `None` takes the address listened on. The real service sometimes
    /// names its login host, which does not answer.
    pub link_host: Option<String>,
    /// Longest path with query; a longer one answers 414.
    pub url_max: usize,
    /// Refuse a `pageSize` above 1,000 with 400 instead of serving 1,000 rows.
    pub refuse_large_page: bool,
    /// Send `Link` although all rows fit one page.
    pub link_on_single_page: bool,
    /// Let a call without `clientId` through.
    pub client_id_optional: bool,
    /// Answer wrong credentials with 404, as cloud hosts do at times, instead of 401.
    pub bad_credentials_404: bool,
    /// A write below an opportunity (note, contact, forecast, product, team) moves the opportunity's `lastUpdated`.
    pub bump_parent: bool,
    /// Answer the forecast as an array with one element, as the specification says, instead of the observed object.
    pub forecast_array: bool,
    /// Answer members without a value as `null`, as old versions do, instead of leaving them out.
    pub explicit_nulls: bool,
    /// Leave `_info` out of every record, as for members whose role is too weak.
    pub hide_info: bool,
    /// Leave the details out of listed adjustments.
    pub hide_adjustment_details: bool,
    /// Put the quantity before the adjustment into `quantityOnHand` of a detail, instead of the one after it.
    pub on_hand_before: bool,
    /// Answer a `PATCH` into a reference (`status/id`) with 200 and do nothing, as the vendor's guide warns.
    pub patch_into_reference_ignored: bool,
    /// Serve `/company/companies/{id}/contacts`, which no specification has.
    pub company_contacts_path: bool,
    /// Let `closedFlag` be asked of opportunities although they have no such member.
    pub closed_flag_condition: bool,
    /// Give some opportunities dates as text, in other zones or of another calendar than anybody expects.
    pub odd_dates: bool,
    /// Pauses before a callback is sent again.
    pub callback_pauses: [Duration; 2],
    /// How long a receiver of callbacks may take.
    pub callback_wait_max: Duration,
    /// Ask for credentials at the address of the signing key.
    pub callback_key_needs_credentials: bool,
}

impl Default for Options {
    /// A company of 400 opportunities, 1,000 calls a rolling minute, no added latency.
    fn default() -> Self {
        Options {
            seed: 1,
            company: Company::default(),
            size: Size::default(),
            limit: Some(Limit {
                calls: 1_000,
                per: Duration::from_secs(60),
                sliding: true,
            }),
            retry_after: Duration::from_secs(30),
            throttle_html: false,
            latency: Latency::None,
            latency_per_row: Duration::ZERO,
            start_at: None,
            codebase: "v2026_1".into(),
            tls: false,
            link_host: None,
            url_max: 2_000,
            refuse_large_page: false,
            link_on_single_page: false,
            client_id_optional: false,
            bad_credentials_404: false,
            bump_parent: false,
            forecast_array: false,
            explicit_nulls: false,
            hide_info: false,
            hide_adjustment_details: false,
            on_hand_before: false,
            patch_into_reference_ignored: false,
            company_contacts_path: false,
            closed_flag_condition: false,
            odd_dates: false,
            callback_pauses: [Duration::from_secs(2), Duration::from_secs(4)],
            callback_wait_max: Duration::from_secs(5),
            callback_key_needs_credentials: false,
        }
    }
}

impl Options {
    /// A small company without a limit, so that a test starts and runs fast.
    pub fn for_testing() -> Self {
        Options {
            size: Size {
                opportunities: 300,
                companies: 40,
                catalog_items: 60,
                adjustments: 40,
                tickets: 60,
            },
            limit: None,
            ..Options::default()
        }
    }
}

/// The company and its API members.
#[derive(Clone)]
pub struct Company {
    /// What stands before the `+` of the user name, and what `companyinfo` is asked for. Compared without regard to case.
    pub id: String,
    /// Its full name.
    pub name: String,
    /// The keys that open it.
    pub keys: Vec<ApiKey>,
    /// The value that the `clientId` header must have; `None` takes any that is not empty.
    pub client_id: Option<String>,
}

/// A pair of keys.
#[derive(Clone)]
pub struct ApiKey {
    /// User name, after the company and `+`.
    pub public: String,
    /// Password.
    pub private: String,
    /// The member as which its writes are signed.
    pub member: String,
}

impl Default for Company {
    fn default() -> Self {
        let key = |public: &str, private: &str, member: &str| ApiKey {
            public: public.into(),
            private: private.into(),
            member: member.into(),
        };
        Company {
            id: "pond".into(),
            name: "Pond Technology Services".into(),
            keys: vec![
                key("6rXhPFlz8dTk1mQa", "Vb3nYw9sLq2JtEoK", "Millpond"),
                key("Zc5uGd0xNp7RiWfM", "Hj4kAy6vTb1SeLqU", "Dispatch"),
            ],
            client_id: None,
        }
    }
}

impl std::fmt::Debug for Company {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Company")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("keys", &format_args!("[{} hidden]", self.keys.len()))
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey")
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}

/// How many records the company starts with. Notes, contacts, activities, products and stock follow from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Opportunities, of every age and state.
    pub opportunities: usize,
    /// Companies; a few of them hold most opportunities. At least 2.
    pub companies: usize,
    /// Catalog items. At least 10.
    pub catalog_items: usize,
    /// Adjustments of one to four details.
    pub adjustments: usize,
    /// Service tickets.
    pub tickets: usize,
}

impl Default for Size {
    fn default() -> Self {
        Size {
            opportunities: 400,
            companies: 60,
            catalog_items: 200,
            adjustments: 150,
            tickets: 300,
        }
    }
}

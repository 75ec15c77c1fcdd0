//! A service desk: the simulated ConnectWise and its mirror.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use cache::{CacheBuilder, MemoryOptions, RedisOptions};
use jiff::{SignedDuration, Timestamp};
use mirror::{
    ChoreSettings, ConnectionSettings, InstanceSettings, Mirror, ResourceFilter,
    batch::Pace,
    hot::{Hot, HotFamilies, HotSettings},
};
use simulators::connectwise::{Call, ConnectWise, Options, Size};
use store::{instances::CallLimit, testing::TestDatabase};
use tokio_util::sync::CancellationToken;
use upstream::Connector;

use crate::house::{SayingSecrets, open, sync_of};

pub fn connector() -> Arc<Connector> {
    connector_with(|text| text)
}

/// The connector, with its text changed.
pub fn connector_with(change: impl FnOnce(String) -> String) -> Arc<Connector> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../connectors/connectwise.toml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let parsed = Connector::parse("connectwise.toml", &change(text));
    Arc::new(parsed.unwrap_or_else(|problems| panic!("{problems}")))
}

pub struct Desk {
    /// Dropped with the desk.
    _database: TestDatabase,
    pub sim: ConnectWise,
    pub mirror: Mirror,
    pub settings: InstanceSettings,
}

/// A desk with so many deals and items.
pub fn size(opportunities: usize, catalog_items: usize) -> Options {
    Options {
        size: Size {
            opportunities,
            companies: 8,
            catalog_items,
            adjustments: 20,
            tickets: 1,
        },
        ..Options::for_testing()
    }
}

impl Desk {
    /// Mirrored once; nothing of it is hot.
    pub async fn new(
        options: Options,
        chores: ChoreSettings,
        prepare: impl FnOnce(&ConnectWise),
    ) -> Self {
        Self::with(options, |settings| settings.chores = chores, prepare).await
    }

    /// As [`Desk::new`], with settings changed at will.
    pub async fn with(
        options: Options,
        change: impl FnOnce(&mut InstanceSettings),
        prepare: impl FnOnce(&ConnectWise),
    ) -> Self {
        let database = TestDatabase::fresh().await;
        let sim = ConnectWise::start(options, SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        prepare(&sim);
        let company = &sim.options().company;
        let key = &company.keys[0];
        let say = |text: &str| format!("say:{text}");
        let secrets = BTreeMap::from([
            ("company".to_owned(), say(&company.id)),
            ("public_key".to_owned(), say(&key.public)),
            ("private_key".to_owned(), say(&key.private)),
            (
                "client_id".to_owned(),
                say("00000000-0000-0000-0000-000000000000"),
            ),
        ]);
        let resources = [
            "opportunity_status",
            "opportunity",
            "catalog_item",
            "adjustment",
        ];
        let mut settings = InstanceSettings {
            name: "psa".to_owned(),
            connector: connector(),
            base_url: Some(sim.base_url()),
            currency: None,
            reporting: None,
            connections: vec![ConnectionSettings {
                name: "main".to_owned(),
                secrets,
                limit: None,
                share: None,
            }],
            resources: ResourceFilter::Only(resources.map(str::to_owned).to_vec()),
            schedules: Vec::new(),
            quiet: None,
            private_hosts: true,
            timeout: None,
            limit: Some(CallLimit {
                calls: 600,
                window: Duration::from_millis(50),
            }),
            concurrency: Some(6),
            chores: ChoreSettings::default(),
            freshness: Default::default(),
        };
        change(&mut settings);
        let mirror = open(database.store(), vec![settings.clone()]).await;
        let desk = Self {
            _database: database,
            sim,
            mirror,
            settings,
        };
        let report = sync_of(&desk.mirror, None, None).await;
        assert!(report.complete, "{report:?}");
        desk.sim.wiretap().clear();
        desk
    }

    /// Opens the mirror once more, as another process would: with the Redis of this URL in front of it, or with a memory
    /// of its own. It hears of changes when its cache catches up.
    pub async fn process(&self, redis: Option<&str>) -> Mirror {
        let mut builder = CacheBuilder::new("1");
        let connectors = [Arc::clone(&self.settings.connector)];
        let families =
            HotFamilies::register(&mut builder, &connectors, HotSettings::default()).unwrap();
        let builder = builder.outbox(Arc::new(families.outbox(self.mirror.store().clone())));
        let cache = match redis {
            Some(url) => builder.redis(RedisOptions::single(url).unwrap()).await,
            None => builder.memory(MemoryOptions::default()),
        };
        cache.catch_up().await.unwrap();
        let (store, settings) = (self.mirror.store().clone(), vec![self.settings.clone()]);
        let hot = Hot::new(cache, families);
        Mirror::open_hot(store, settings, Arc::new(SayingSecrets), None, hot)
            .await
            .unwrap()
    }

    /// Calls received, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.sim.wiretap().calls()
    }

    /// Deals that a sweep looks after, by what upstream says: open, or closed at most 30 days ago.
    pub fn live_deals(&self) -> BTreeSet<i64> {
        let truth = self.sim.truth();
        let closed: BTreeSet<i64> = truth
            .documents("sales/opportunities/statuses")
            .into_iter()
            .filter(|(_, status)| status["closedFlag"] == true)
            .map(|(id, _)| id)
            .collect();
        let bound = Timestamp::now() - SignedDuration::from_hours(30 * 24);
        let is_live = |deal: &serde_json::Value| {
            let is_closed = deal["status"]["id"]
                .as_i64()
                .is_some_and(|id| closed.contains(&id));
            let at: Option<Timestamp> = deal["closedDate"].as_str().and_then(|at| at.parse().ok());
            !is_closed || at.is_some_and(|at| at >= bound)
        };
        let deals = truth.documents("sales/opportunities").into_iter();
        deals
            .filter(|(_, deal)| is_live(deal))
            .map(|(id, _)| id)
            .collect()
    }
}

/// As fast as can be, so many at once.
pub fn hasty() -> ChoreSettings {
    ChoreSettings {
        pace: Pace {
            concurrency: 6,
            delay: Duration::ZERO,
        },
        ..ChoreSettings::default()
    }
}

pub fn never() -> CancellationToken {
    CancellationToken::new()
}

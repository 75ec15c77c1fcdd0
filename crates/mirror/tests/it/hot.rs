//! Reads through the cache: what they cost, how old they may be, and what ends a hot life.

use std::{sync::Arc, time::Duration};

use cache::{CacheBuilder, MemoryOptions, Presence};
use jiff::Timestamp;
use mirror::{
    Mirror, ReadAnswer, ReadAsk,
    hot::{Hot, HotFamilies, HotPage, HotSettings},
};
use store::{Store, read::Search, testing::TestDatabase};

use crate::{
    house::SayingSecrets,
    shelf::{self, Shelf, row},
};

/// A shelf of one thing, and its mirror.
struct Hothouse {
    database: TestDatabase,
    shelf: Shelf,
}

impl Hothouse {
    async fn new() -> Self {
        let rows = vec![row("a", Timestamp::now(), "1")];
        Self {
            database: TestDatabase::fresh().await,
            shelf: Shelf::start(rows).await,
        }
    }

    /// Opens the mirror as a process of its own would; things are to be as fresh as `ttl` says.
    async fn process(&self, ttl: Option<&str>) -> Mirror {
        let more = ttl.map_or_else(String::new, |ttl| {
            format!("family = \"shelf:thing:{{id}}\"\nttl = \"all\"\n[ttl]\nall = [{{ ttl = \"{ttl}\" }}]\n")
        });
        let connector = shelf::connector(100, "newest_first", &more);
        let mut builder = CacheBuilder::new("1");
        let settings = HotSettings::default();
        let families =
            HotFamilies::register(&mut builder, std::slice::from_ref(&connector), settings)
                .unwrap();
        let outbox = families.outbox(self.store());
        let cache = builder
            .outbox(Arc::new(outbox))
            .memory(MemoryOptions::default());
        // The first look forgets all.
        cache.catch_up().await.unwrap();
        let hot = Hot::new(cache, families);
        let instances = vec![self.shelf.instance(connector)];
        Mirror::open_hot(self.store(), instances, Arc::new(SayingSecrets), None, hot)
            .await
            .unwrap()
    }

    fn store(&self) -> Store {
        self.database.store()
    }

    /// Single things asked of upstream so far.
    fn calls(&self) -> usize {
        self.shelf.with(|content| content.gets.len())
    }

    /// Makes the mirror's row as old as this.
    async fn ages(&self, age: &str) {
        for change in [
            "UPDATE millpond.record_fetch SET fetched_at = now() - $1::interval",
            "UPDATE millpond.record SET asked_at = now() - $1::interval",
        ] {
            let store = self.store();
            let aged = sqlx::query(change).bind(age).execute(store.pool());
            aged.await.unwrap();
        }
    }

    fn says(&self, value: &str) {
        let rows = vec![row("a", Timestamp::now(), value)];
        self.shelf.with(|content| content.rows = rows);
    }
}

async fn read(mirror: &Mirror, id: &str, ask: ReadAsk) -> Option<ReadAnswer> {
    let resource = "shelf.thing".parse().unwrap();
    mirror.read_hot(&resource, "shelf", id, ask).await.unwrap()
}

async fn plain(mirror: &Mirror) -> ReadAnswer {
    read(mirror, "a", ReadAsk::default()).await.unwrap()
}

fn value(answer: &ReadAnswer) -> String {
    let body: serde_json::Value = serde_json::from_str(answer.record.body.get()).unwrap();
    body["value"].to_string()
}

async fn presence(mirror: &Mirror) -> Presence {
    let resource = "shelf.thing".parse().unwrap();
    let key = mirror.hot().key(&resource, "shelf", "a").unwrap();
    mirror.hot().cache().presence(key.name()).await
}

fn at_most(age: Duration) -> ReadAsk {
    ReadAsk {
        max_age: Some(age),
        fresh: false,
    }
}

#[tokio::test]
async fn x2_a_miss_with_a_fresh_row_costs_no_call_and_a_hit_not_even_the_row() {
    let house = Hothouse::new().await;
    let mirror = house.process(Some("60s")).await;
    assert_eq!(plain(&mirror).await.source, "upstream", "nobody had it");
    assert_eq!(house.calls(), 1);
    // Another process: its cache is empty, the row is there.
    let other = house.process(Some("60s")).await;
    assert_eq!(plain(&other).await.source, "mirror");
    let first = plain(&other).await;
    assert_eq!((first.source, house.calls()), ("cache", 1));
    house.store().pool().close().await;
    let again = plain(&other).await;
    assert_eq!(again.source, "cache");
    assert_eq!((again.snapshot, again.record.version), (first.snapshot, 1));
}

#[tokio::test]
async fn x2_a_miss_with_a_row_older_than_its_rule_costs_one_call() {
    let house = Hothouse::new().await;
    let target = Some("60s");
    let first = house.process(target).await;
    assert_eq!(value(&plain(&first).await), "1");
    house.ages("1 hour").await;
    house.says("2");
    let mirror = house.process(target).await;
    let answers = futures::future::join_all((0..20).map(|_| plain(&mirror))).await;
    assert!(answers.iter().all(|answer| value(answer) == "2"));
    assert_eq!(house.calls(), 2, "many who ask at once share one call");
}

#[tokio::test]
async fn x19_a_hot_life_counts_from_when_upstream_was_asked() {
    let house = Hothouse::new().await;
    let first = house.process(Some("30s")).await;
    plain(&first).await;
    sqlx::query("UPDATE millpond.record_fetch SET fetched_at = now() - interval '20 s'")
        .execute(house.store().pool())
        .await
        .unwrap();
    sqlx::query("UPDATE millpond.record SET asked_at = now() - interval '20 s'")
        .execute(house.store().pool())
        .await
        .unwrap();
    let mirror = house.process(Some("30s")).await;
    assert_eq!(plain(&mirror).await.source, "mirror");
    let Presence::Held { expires_in, .. } = presence(&mirror).await else {
        panic!("the record is not hot");
    };
    assert!(expires_in <= Duration::from_secs(10), "{expires_in:?}");
}

#[tokio::test]
async fn x8_a_record_that_its_rule_never_keeps_is_answered_and_not_kept() {
    let house = Hothouse::new().await;
    let mirror = house.process(Some("none")).await;
    plain(&mirror).await;
    assert_eq!(plain(&mirror).await.source, "mirror");
    assert_eq!(presence(&mirror).await, Presence::Missing);
    assert_eq!(house.calls(), 1);
}

#[tokio::test]
async fn a_record_without_a_rule_costs_no_call_however_old_it_is() {
    let house = Hothouse::new().await;
    let mirror = house.process(None).await;
    plain(&mirror).await;
    house.ages("40 days").await;
    let later = house.process(None).await;
    assert_eq!(plain(&later).await.source, "mirror");
    let hit = plain(&later).await;
    assert_eq!((hit.source, house.calls()), ("cache", 1));
    assert!(hit.age_secs > 39.0 * 86_400.0, "its age is told");
}

#[tokio::test]
async fn what_another_process_writes_ends_a_hot_life() {
    let house = Hothouse::new().await;
    let (reader, writer) = (house.process(None).await, house.process(None).await);
    plain(&reader).await;
    reader.hot().cache().catch_up().await.unwrap();
    plain(&reader).await;
    assert_eq!(plain(&reader).await.source, "cache");
    house.says("2");
    let fresh = ReadAsk {
        fresh: true,
        max_age: None,
    };
    assert_eq!(value(&read(&writer, "a", fresh).await.unwrap()), "2");
    assert_eq!(value(&plain(&writer).await), "2", "its own write");
    reader.hot().cache().catch_up().await.unwrap();
    assert_eq!(value(&plain(&reader).await), "2");
    reader.hot().cache().catch_up().await.unwrap();
    assert_eq!(plain(&reader).await.source, "cache", "heard once");
}

#[tokio::test]
async fn a_reader_who_wants_it_younger_gets_it_younger() {
    let house = Hothouse::new().await;
    let mirror = house.process(None).await;
    plain(&mirror).await;
    house.says("2");
    let hour = at_most(Duration::from_secs(3600));
    assert_eq!(value(&read(&mirror, "a", hour).await.unwrap()), "1");
    assert_eq!(house.calls(), 1);
    let now = at_most(Duration::ZERO);
    let answer = read(&mirror, "a", now).await.unwrap();
    assert_eq!((value(&answer).as_str(), answer.source), ("2", "upstream"));
    assert_eq!(value(&plain(&mirror).await), "2");
}

#[tokio::test]
async fn an_upstream_that_is_away_is_answered_with_the_last_row_and_the_reason() {
    let house = Hothouse::new().await;
    let mirror = house.process(Some("1ms")).await;
    plain(&mirror).await;
    house.shelf.with(|content| content.broken = true);
    let answer = plain(&mirror).await;
    assert!(answer.stale.is_some());
    let again = plain(&mirror).await;
    assert_eq!(again.source, "cache", "not every reader waits for it");
    assert!(again.stale.is_some());
}

#[tokio::test]
async fn that_there_is_no_such_record_is_known_for_a_while() {
    let house = Hothouse::new().await;
    let mirror = house.process(None).await;
    for _ in 0..3 {
        assert!(read(&mirror, "none", ReadAsk::default()).await.is_none());
    }
    assert_eq!(house.calls(), 1);
}

#[tokio::test]
async fn the_same_question_is_searched_for_once_until_its_records_change() {
    let house = Hothouse::new().await;
    let mirror = house.process(None).await;
    plain(&mirror).await;
    mirror.hot().cache().catch_up().await.unwrap();
    let resource: store::ResourceName = "shelf.thing".parse().unwrap();
    let search = Search {
        criteria: vec!["value>=0".parse().unwrap()],
        ..Search::all(resource.clone())
    };
    let ask = async |tenant: &str| {
        let (store, search_for, feed) = (house.store(), search.clone(), resource.clone());
        let load = move || async move {
            let page = store.search(&search_for, &feed).await?;
            Ok::<_, store::StoreError>(HotPage { page, snapshot: 0 })
        };
        let answer = mirror.hot().search(tenant, &search, load).await.unwrap();
        let page = answer.page().unwrap();
        (page.page.records[0].version, answer.source())
    };
    assert_eq!(ask("acme").await, (1, "mirror"));
    assert_eq!(ask("acme").await, (1, "cache"));
    assert_eq!(
        ask("other").await,
        (1, "mirror"),
        "x7: tenants share nothing"
    );
    house.says("2");
    let fresh = ReadAsk {
        fresh: true,
        max_age: None,
    };
    read(&mirror, "a", fresh).await;
    mirror.hot().cache().catch_up().await.unwrap();
    assert_eq!(ask("acme").await, (2, "mirror"));
}

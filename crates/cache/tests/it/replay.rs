//! Invalidations made while the store is away count when it is back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cache::{
    Cache, CacheBuilder, Committed, Instance, Invalidated, Key, Outbox, Overtaken, Position,
};
use jiff::Timestamp;

use crate::kit::{self, Families, Note, Source, text, until};
use crate::netbox::{Netbox, Weather};
use crate::server::{POLL, Server};

/// The primary database's list of committed invalidations.
#[derive(Clone, Default)]
pub struct Database {
    committed: Arc<Mutex<Vec<Committed>>>,
}

impl Database {
    fn commit(&self, keys: &[&Key<Note>]) {
        self.commit_version(keys, 0);
    }

    /// Commits writes of this version.
    pub fn commit_version(&self, keys: &[&Key<Note>], version: u64) {
        let mut committed = self.committed.lock().unwrap();
        let position = Position {
            tx: committed.len() as u64 + 1,
            seq: 7,
        };
        let keys = keys.iter().map(|key| overtaken(key, version));
        committed.push(Committed {
            position,
            settled: true,
            keys: keys.collect(),
        });
    }
}

fn overtaken(key: &Key<Note>, version: u64) -> Overtaken {
    let key = key.name().unversioned().to_owned();
    Overtaken { key, version }
}

#[async_trait]
impl Outbox for Database {
    async fn after(
        &self,
        position: Position,
        limit: usize,
    ) -> Result<Vec<Committed>, Box<dyn std::error::Error + Send + Sync>> {
        let committed = self.committed.lock().unwrap();
        let newer = committed.iter().filter(|entry| entry.position > position);
        Ok(newer.take(limit).cloned().collect())
    }

    async fn newest(&self) -> Result<Position, Box<dyn std::error::Error + Send + Sync>> {
        let committed = self.committed.lock().unwrap();
        let settled = committed.iter().rev().find(|entry| entry.settled);
        Ok(settled.map_or_else(Position::default, |entry| entry.position))
    }
}

async fn process(url: &str, outbox: Option<&Database>) -> (Cache, Families) {
    let mut builder = CacheBuilder::new("1");
    if let Some(outbox) = outbox {
        builder = builder.outbox(Arc::new(outbox.clone()));
    }
    let families = kit::families(&mut builder);
    (builder.redis(kit::options(url)).await, families)
}

async fn read(cache: &Cache, families: &Families, id: u64, says: &str) -> String {
    let key = cache.key(&families.notes, Instance("au"), &id);
    let load = Source::default().gives(says, Timestamp::now());
    text(&cache.get_or_load(&key, load).await.unwrap()).to_owned()
}

fn up(cache: &Cache) -> bool {
    cache.health().shared.unwrap().up
}

#[tokio::test]
async fn a_key_invalidated_during_an_outage_is_forgotten_before_hits_resume() {
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let (cache, families) = process(&net.url(), None).await;
    for id in 0..3 {
        read(&cache, &families, id, "old").await;
    }
    net.set(Weather::BlackHole);
    let key = cache.key(&families.notes, Instance("au"), &1);
    assert_eq!(cache.invalidate([key.name()]).await, Invalidated::WhenBack);
    assert_eq!(cache.health().shared.unwrap().pending, 1);
    assert!(
        server.keys().await.contains(&key.physical().to_owned()),
        "the old value survived"
    );
    assert_eq!(read(&cache, &families, 1, "new").await, "new");
    net.set(Weather::Fair);
    until("the store is back", || up(&cache)).await;
    assert_eq!(read(&cache, &families, 1, "new").await, "new");
    assert_eq!(
        read(&cache, &families, 2, "new").await,
        "old",
        "others live on"
    );
    let shared = cache.health().shared.unwrap();
    assert_eq!((shared.pending, shared.replayed), (0, 1));
}

#[tokio::test]
async fn more_invalidations_than_can_be_noted_forget_everything() {
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let (cache, families) = process(&net.url(), None).await;
    let last = cache::PENDING_MAX as u64 + 10;
    read(&cache, &families, last, "old").await;
    net.set(Weather::Refuse);
    let keys: Vec<_> = (0..=last)
        .map(|id| cache.key(&families.notes, Instance("au"), &id))
        .collect();
    let _ = cache.invalidate([keys[0].name()]).await;
    let _ = cache.invalidate(keys.iter().map(Key::name)).await;
    assert_eq!(cache.health().shared.unwrap().pending, cache::PENDING_MAX);
    net.set(Weather::Fair);
    until("the store is back", || up(&cache)).await;
    assert_eq!(read(&cache, &families, last, "new").await, "new");
}

#[tokio::test]
async fn an_invalidation_of_a_process_that_died_reaches_the_store_through_the_outbox() {
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let database = Database::default();
    let (writer, families) = process(&net.url(), Some(&database)).await;
    read(&writer, &families, 1, "old").await;
    net.set(Weather::Refuse);
    let key = writer.key(&families.notes, Instance("au"), &1);
    database.commit(&[&key]);
    let _ = writer.invalidate([key.name()]).await;
    drop(writer);
    // A process that never knew: it begins where the store says it stopped.
    let (next, families) = process(&server.url(), Some(&database)).await;
    assert_eq!(read(&next, &families, 1, "new").await, "new");
}

#[tokio::test]
async fn another_process_that_stayed_connected_hears_of_it_by_catching_up() {
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let database = Database::default();
    let (cut_off, families) = process(&net.url(), Some(&database)).await;
    let (connected, theirs) = process(&server.url(), Some(&database)).await;
    read(&connected, &theirs, 1, "old").await;
    net.set(Weather::BlackHole);
    let key = cut_off.key(&families.notes, Instance("au"), &1);
    database.commit(&[&key]);
    assert_eq!(
        cut_off.invalidate([key.name()]).await,
        Invalidated::WhenBack
    );
    connected.catch_up().await.unwrap();
    assert_eq!(read(&connected, &theirs, 1, "new").await, "new");
}

#[tokio::test]
async fn a_store_restored_from_an_old_dump_is_caught_up_before_it_is_read() {
    let mut server = Server::start().await;
    let database = Database::default();
    let (cache, families) = process(&server.url(), Some(&database)).await;
    read(&cache, &families, 1, "old").await;
    let _: String = server.run(&["SAVE"]).await;
    let key = cache.key(&families.notes, Instance("au"), &1);
    database.commit(&[&key]);
    let done = cache.invalidate([key.name()]).await;
    assert_eq!(done, Invalidated::Everywhere);
    cache.catch_up().await.unwrap();
    assert_eq!(read(&cache, &families, 1, "new").await, "new");
    server.kill();
    server.up().await;
    assert!(
        server.keys().await.contains(&key.physical().to_owned()),
        "the dump holds the old value"
    );
    until("the loss is noticed", || {
        let _ = futures::FutureExt::now_or_never(cache.presence(key.name()));
        !up(&cache)
    })
    .await;
    until("the store is back", || up(&cache)).await;
    assert_eq!(read(&cache, &families, 1, "newest").await, "newest");
}

#[tokio::test]
async fn a_store_that_nobody_remembers_is_emptied_of_this_build() {
    let server = Server::start().await;
    let database = Database::default();
    let (cache, families) = process(&server.url(), Some(&database)).await;
    read(&cache, &families, 1, "old").await;
    let cursor = format!("{}:outbox", cache.health().schema);
    let _: i64 = server.run(&["DEL", &cursor]).await;
    let _: String = server.run(&["SET", "someone:else", "x"]).await;
    let (fresh, families) = process(&server.url(), Some(&database)).await;
    assert_eq!(read(&fresh, &families, 1, "new").await, "new");
    assert!(server.keys().await.contains(&"someone:else".to_owned()));
}

#[tokio::test]
async fn an_invalidation_goes_on_when_its_caller_gives_up() {
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let (cache, families) = process(&net.url(), None).await;
    read(&cache, &families, 1, "old").await;
    let key = cache.key(&families.notes, Instance("au"), &1);
    net.set(Weather::Slow(Duration::from_millis(100)));
    let call = cache.invalidate([key.name()]);
    assert!(
        tokio::time::timeout(Duration::from_millis(10), call)
            .await
            .is_err()
    );
    net.set(Weather::Fair);
    let (other, theirs) = process(&server.url(), None).await;
    let gone = async {
        while other.presence(key.name()).await != cache::Presence::Missing {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .unwrap();
    assert_eq!(read(&other, &theirs, 1, "new").await, "new");
}

/// Commits an invalidation that something earlier may still overtake.
fn commit_unsettled(database: &Database, tx: u64, key: &Key<Note>) {
    let keys = vec![overtaken(key, 0)];
    let position = Position { tx, seq: 1 };
    let settled = false;
    database.committed.lock().unwrap().push(Committed {
        position,
        settled,
        keys,
    });
}

#[tokio::test]
async fn a_cache_in_one_process_hears_of_other_processes_by_catching_up() {
    let database = Database::default();
    let mut builder = CacheBuilder::new("1").outbox(Arc::new(database.clone()));
    let families = kit::families(&mut builder);
    let cache = builder.memory(cache::MemoryOptions::default());
    read(&cache, &families, 1, "unheard of").await;
    cache.catch_up().await.unwrap();
    assert_eq!(
        read(&cache, &families, 1, "old").await,
        "old",
        "what came before the first look is not trusted"
    );
    read(&cache, &families, 2, "old").await;
    let key = cache.key(&families.notes, Instance("au"), &1);
    database.commit(&[&key]);
    cache.catch_up().await.unwrap();
    assert_eq!(read(&cache, &families, 1, "new").await, "new");
    assert_eq!(read(&cache, &families, 2, "new").await, "old");
    cache.catch_up().await.unwrap();
    assert_eq!(read(&cache, &families, 1, "newer").await, "new");
}

#[tokio::test]
async fn an_invalidation_is_applied_as_soon_as_it_is_visible_and_once() {
    let server = Server::start().await;
    for shared in [true, false] {
        let database = Database::default();
        let mut builder = CacheBuilder::new("1").outbox(Arc::new(database.clone()));
        let families = kit::families(&mut builder);
        let cache = if shared {
            builder.redis(kit::options(&server.url())).await
        } else {
            builder.memory(cache::MemoryOptions::default())
        };
        cache.catch_up().await.unwrap();
        let key = |id: u64| cache.key(&families.notes, Instance("au"), &id);
        for id in 1..=3 {
            read(&cache, &families, id, "old").await;
        }
        commit_unsettled(&database, 50, &key(1));
        cache.catch_up().await.unwrap();
        assert_eq!(read(&cache, &families, 1, "new").await, "new", "{shared}");
        cache.catch_up().await.unwrap();
        assert_eq!(read(&cache, &families, 1, "newer").await, "new", "once");
        // The transaction that had begun before commits at last.
        commit_unsettled(&database, 40, &key(2));
        let mut all = std::mem::take(&mut *database.committed.lock().unwrap());
        all.iter_mut().for_each(|entry| entry.settled = true);
        all.sort_by_key(|entry| entry.position);
        *database.committed.lock().unwrap() = all;
        cache.catch_up().await.unwrap();
        assert_eq!(read(&cache, &families, 2, "new").await, "new", "{shared}");
        assert_eq!(read(&cache, &families, 1, "newest").await, "new", "once");
        assert_eq!(read(&cache, &families, 3, "new").await, "old", "{shared}");
    }
}

#[tokio::test]
async fn b52_one_round_trip_tells_which_keys_have_a_fresh_value() {
    use cache::Existence::{CannotAsk, Missing, Present};
    let server = Server::start().await;
    let net = Netbox::before(server.socket()).await;
    let (cache, families) = process(&net.url(), None).await;
    let keys: Vec<_> = (0..5000)
        .map(|id| {
            let key = cache.key(&families.notes, Instance("au"), &id);
            key.name().clone()
        })
        .collect();
    for id in [0, 7, 4999] {
        read(&cache, &families, id, "there").await;
    }
    let _: i64 = server.run(&["RPUSH", keys[8].as_str(), "no text"]).await;
    let _: String = server.run(&["SET", keys[9].as_str(), "no entry"]).await;
    let before = net.rounds();
    cache.missing(&keys[..100]).await;
    assert_eq!(net.rounds() - before, 1, "round trips of few keys");
    let (before, sent) = (net.rounds(), net.sent());
    let exists = cache.missing(&keys).await;
    // The store begins to answer before it has heard all; the network hands on 16 KB at once.
    let chunks = (net.sent() - sent) / 16_384 + 1;
    let rounds = net.rounds() - before;
    assert!(rounds <= chunks, "{rounds} round trips, {chunks} chunks");
    for (id, exists) in exists.iter().enumerate() {
        let expected = if [0, 7, 4999].contains(&id) {
            Present
        } else {
            Missing
        };
        assert_eq!(*exists, expected, "{id}");
    }
    net.set(Weather::Refuse);
    let exists = cache.missing(&keys).await;
    assert!(exists.iter().all(|exists| *exists == CannotAsk));

    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    let memory = builder.memory(cache::MemoryOptions::default());
    read(&memory, &families, 7, "there").await;
    let keys: Vec<_> = (6..8)
        .map(|id| {
            let key = memory.key(&families.notes, Instance("au"), &id);
            key.name().clone()
        })
        .collect();
    assert_eq!(memory.missing(&keys).await, [Missing, Present]);
    let mut builder = CacheBuilder::new("1");
    kit::families(&mut builder);
    assert_eq!(builder.off().missing(&keys).await, [CannotAsk; 2]);
}

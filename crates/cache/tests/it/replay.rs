//! Invalidations made while the store is away count when it is back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cache::{Cache, CacheBuilder, Committed, Instance, Invalidated, Key, Outbox};
use jiff::Timestamp;

use crate::kit::{self, Families, Note, Source, text, until};
use crate::netbox::{Netbox, Weather};
use crate::server::{POLL, Server};

/// The primary database's list of committed invalidations.
#[derive(Clone, Default)]
struct Database {
    committed: Arc<Mutex<Vec<Committed>>>,
}

impl Database {
    fn commit(&self, keys: &[&Key<Note>]) {
        let mut committed = self.committed.lock().unwrap();
        let position = committed.len() as i64 + 1;
        let keys = keys.iter().map(|key| key.physical().to_owned()).collect();
        committed.push(Committed { position, keys });
    }
}

#[async_trait]
impl Outbox for Database {
    async fn after(
        &self,
        position: i64,
        limit: usize,
    ) -> Result<Vec<Committed>, Box<dyn std::error::Error + Send + Sync>> {
        let committed = self.committed.lock().unwrap();
        let newer = committed.iter().filter(|entry| entry.position > position);
        Ok(newer.take(limit).cloned().collect())
    }

    async fn newest(&self) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.committed.lock().unwrap().len() as i64)
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

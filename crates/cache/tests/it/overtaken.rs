//! The outbox tells of a write: what says it already is spared, what was made before is not.

use std::sync::Arc;

use cache::{Cache, CacheBuilder, Instance, Key, LoadError, Loaded, Presence};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::kit::{self, Families, Note};
use crate::replay::Database;
use crate::server::Server;

/// A process of its own over the store, or with a memory of its own.
async fn process(server: Option<&Server>, database: &Database) -> (Cache, Families) {
    let mut builder = CacheBuilder::new("1").outbox(Arc::new(database.clone()));
    let families = kit::families(&mut builder);
    let cache = match server {
        Some(server) => builder.redis(kit::options(&server.url())).await,
        None => builder.memory(cache::MemoryOptions::default()),
    };
    cache.catch_up().await.unwrap();
    (cache, families)
}

fn note(version: u64) -> Loaded<Note> {
    Loaded::found(Note::new(version.to_string()), Timestamp::now()).of_version(version)
}

async fn read(cache: &Cache, key: &Key<Note>, version: u64) -> String {
    let load = move || async move { Ok::<_, std::io::Error>(note(version)) };
    kit::text(&cache.get_or_load(key, load).await.unwrap()).to_owned()
}

async fn is_kept(cache: &Cache, key: &Key<Note>) -> bool {
    matches!(cache.presence(key.name()).await, Presence::Held { .. })
}

#[tokio::test]
async fn what_says_the_written_version_is_spared_and_what_is_older_is_not() {
    let server = Server::start().await;
    for server in [Some(&server), None] {
        let database = Database::default();
        let (cache, families) = process(server, &database).await;
        let key = cache.key(&families.notes, Instance("au"), &1);
        assert_eq!(read(&cache, &key, 2).await, "2");
        for heard in [1, 2] {
            database.commit_version(&[&key], heard);
            cache.catch_up().await.unwrap();
            assert!(is_kept(&cache, &key).await, "{heard} of {:?}", key.name());
        }
        database.commit_version(&[&key], 3);
        cache.catch_up().await.unwrap();
        assert!(!is_kept(&cache, &key).await);
        assert_eq!(read(&cache, &key, 3).await, "3");
        database.commit_version(&[&key], 0);
        cache.catch_up().await.unwrap();
        assert!(!is_kept(&cache, &key).await, "0 spares none");
    }
}

/// A load under way.
struct Loading {
    /// Lets it end with a version.
    end: oneshot::Sender<u64>,
    has_begun: oneshot::Receiver<()>,
    reader: tokio::task::JoinHandle<Result<cache::Answer<Note>, LoadError>>,
}

fn begin(cache: &Cache, key: &Key<Note>) -> Loading {
    let (end, ended) = oneshot::channel();
    let (begun, has_begun) = oneshot::channel();
    let (cache, key) = (cache.clone(), key.clone());
    let load = move || async move {
        let _ = begun.send(());
        Ok::<_, std::io::Error>(note(ended.await.unwrap()))
    };
    let reader = tokio::spawn(async move { cache.get_or_load(&key, load).await });
    Loading {
        end,
        has_begun,
        reader,
    }
}

#[tokio::test]
async fn a_load_that_brings_the_written_version_is_kept_and_one_that_brings_an_older_is_not() {
    let server = Server::start().await;
    for server in [Some(&server), None] {
        for (brings, kept) in [(4, false), (5, true), (6, true)] {
            let database = Database::default();
            let (cache, families) = process(server, &database).await;
            let key = cache.key(&families.notes, Instance("au"), &(10 + brings));
            let Loading {
                end,
                has_begun,
                reader,
            } = begin(&cache, &key);
            has_begun.await.unwrap();
            database.commit_version(&[&key], 5);
            cache.catch_up().await.unwrap();
            // Whoever comes now has a right to version 5, also if it waits for the load that began before.
            let (later, later_key) = (cache.clone(), key.clone());
            let later = tokio::spawn(async move { read(&later, &later_key, 5).await });
            tokio::task::yield_now().await;
            end.send(brings).unwrap();
            assert_eq!(
                kit::text(&reader.await.unwrap().unwrap()),
                brings.to_string()
            );
            let seen: u64 = later.await.unwrap().parse().unwrap();
            assert!(seen >= 5, "{seen} after the outbox told of 5");
            assert_eq!(
                read(&cache, &key, 7).await,
                if kept { brings } else { 5 }.to_string()
            );
        }
    }
}

//! What lies under a key need not be ours.

use cache::{CacheBuilder, FamilySpec, Instance, PerInstance, SizeClass, Ttl};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kit::{self, Source, text};
use crate::server::Server;

#[tokio::test]
async fn bytes_that_are_no_entry_are_a_miss_and_replaced_and_counted() {
    let server = Server::start().await;
    let (cache, families) = kit::process(&server.url()).await;
    let source = Source::default();
    let wrecks: [&[&str]; 6] = [
        &["SET", "KEY", "garbage"],
        &["SET", "KEY", ""],
        &[
            "SET",
            "KEY",
            "mp1-and-then-nothing-that-could-be-a-header-or-a-sum",
        ],
        &["LPUSH", "KEY", "a", "list"],
        &["HSET", "KEY", "a", "hash"],
        &["SETRANGE", "KEY", "600", "far away"],
    ];
    for (id, wreck) in wrecks.iter().enumerate() {
        let key = cache.key(&families.notes, Instance("au"), &(id as u64));
        let words: Vec<&str> = wreck
            .iter()
            .map(|&word| if word == "KEY" { key.physical() } else { word })
            .collect();
        let _: redis::Value = server.run(&words).await;
        for hit in [false, true] {
            let load = source.gives("a", Timestamp::now());
            let answer = cache.get_or_load(&key, load).await.unwrap();
            assert_eq!((text(&answer), answer.is_hit()), ("a", hit), "{words:?}");
        }
    }
    let stats = &cache.families()[0].1;
    assert!(stats.undecodable >= wrecks.len() as u64, "{stats:?}");
    assert!(cache.health().shared.unwrap().up);
    for key in server.keys().await {
        let ttl: i64 = server.run(&["PTTL", &key]).await;
        assert!(ttl > 0, "{key} has no TTL");
    }
}

#[tokio::test]
async fn garbage_is_deleted_even_when_loading_fails() {
    let server = Server::start().await;
    let (cache, families) = kit::process(&server.url()).await;
    let key = cache.key(&families.notes, Instance("au"), &1);
    let _: String = server.run(&["SET", key.physical(), "garbage"]).await;
    cache
        .get_or_load(&key, Source::default().fails())
        .await
        .unwrap_err();
    let left = server.keys().await;
    assert!(!left.contains(&key.physical().to_owned()), "{left:?}");
}

#[tokio::test]
async fn a_truncated_or_altered_value_is_never_served() {
    let server = Server::start().await;
    let (cache, families) = kit::process(&server.url()).await;
    let source = Source::default();
    let key = cache.key(&families.notes, Instance("au"), &1);
    cache
        .get_or_load(&key, source.gives("true", Timestamp::now()))
        .await
        .unwrap();
    let length: i64 = server.run(&["STRLEN", key.physical()]).await;
    for at in [0, 3, 5, 20, 30, length - 1] {
        let _: i64 = server
            .run(&["SETRANGE", key.physical(), &at.to_string(), "\u{7f}"])
            .await;
        let load = source.gives("true", Timestamp::now());
        let answer = cache.get_or_load(&key, load).await.unwrap();
        assert_eq!(
            (text(&answer), answer.is_hit()),
            ("true", false),
            "altered at {at}"
        );
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RowOld {
    name: String,
}
cache::cacheable!(RowOld, shape = 1);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RowNew {
    name: u64,
}
cache::cacheable!(RowNew, shape = 2);

#[tokio::test]
async fn two_builds_with_different_rows_live_side_by_side() {
    let server = Server::start().await;
    let ttl = || std::time::Duration::from_secs(60);
    let mut old = CacheBuilder::new("1");
    let rows_old = old
        .family(FamilySpec::<PerInstance, u64, RowOld>::new(
            "row:{id}",
            "rows",
            Ttl::fixed(ttl()),
            SizeClass::Small,
        ))
        .unwrap();
    let mut new = CacheBuilder::new("1");
    let rows_new = new
        .family(FamilySpec::<PerInstance, u64, RowNew>::new(
            "row:{id}",
            "rows",
            Ttl::fixed(ttl()),
            SizeClass::Small,
        ))
        .unwrap();
    let old = old.redis(kit::options(&server.url())).await;
    let new = new.redis(kit::options(&server.url())).await;
    for round in 0..2 {
        for id in 0..20 {
            let load = || async {
                let row = RowOld { name: "a".into() };
                Ok::<_, std::io::Error>(cache::Loaded::found(row, Timestamp::now()))
            };
            let key = old.key(&rows_old, Instance("au"), &id);
            assert_eq!(
                old.get_or_load(&key, load).await.unwrap().is_hit(),
                round == 1
            );
            let load = || async {
                Ok::<_, std::io::Error>(cache::Loaded::found(RowNew { name: 1 }, Timestamp::now()))
            };
            let key = new.key(&rows_new, Instance("au"), &id);
            assert_eq!(
                new.get_or_load(&key, load).await.unwrap().is_hit(),
                round == 1
            );
        }
    }
    for stats in [&old.families()[0].1, &new.families()[0].1] {
        assert_eq!((stats.undecodable, stats.hits), (0, 20));
    }
}

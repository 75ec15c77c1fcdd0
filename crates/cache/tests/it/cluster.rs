//! A Redis Cluster of one node and all slots: routing, leases in the slot of their value, sweeps.

use std::time::Duration;

use cache::{CacheBuilder, Instance, MemoryOptions, OptionsError, RedisOptions};
use jiff::Timestamp;

use crate::kit::{self, Source, text, until};
use crate::server::{POLL, Server};

/// A port that was free a moment ago. Clusters need one: they do not listen on sockets alone.
fn port() -> u16 {
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // The cluster bus listens 10,000 above.
        if port < 55_000 {
            return port;
        }
    }
}

#[tokio::test]
async fn a_cluster_keeps_the_same_promises() {
    let port = port().to_string();
    let args = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--cluster-enabled",
        "yes",
    ];
    let server = Server::start_with(&args).await;
    let _: String = server
        .run(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
        .await;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !server
        .run::<String>(&["CLUSTER", "INFO"])
        .await
        .contains("cluster_state:ok")
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the cluster did not form within 10 s"
        );
        tokio::time::sleep(POLL).await;
    }
    let url = format!("redis://127.0.0.1:{port}");
    let options = || {
        let options = RedisOptions::cluster([url.as_str()]).unwrap();
        options.probe_every(Duration::from_millis(100))
    };
    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    let cache = builder.redis(options()).await;
    until("the cluster answers", || cache.health().shared.unwrap().up).await;

    let source = Source::default();
    let keys: Vec<_> = (0..50)
        .map(|id| cache.key(&families.notes, Instance("au"), &id))
        .collect();
    for hit in [false, true] {
        for key in &keys {
            let load = source.gives("old", Timestamp::now());
            assert_eq!(cache.get_or_load(key, load).await.unwrap().is_hit(), hit);
        }
    }
    let done = cache.invalidate(keys.iter().map(|key| key.name())).await;
    assert_eq!(done, cache::Invalidated::Everywhere);
    for key in &keys {
        let load = source.gives("new", Timestamp::now());
        assert_eq!(text(&cache.get_or_load(key, load).await.unwrap()), "new");
    }
    assert_eq!(
        (source.loads(), cache.health().shared.unwrap().lost),
        (100, 0)
    );

    let mut builder = CacheBuilder::new("1");
    kit::families(&mut builder);
    let refused = builder
        .two_tier(MemoryOptions::default(), options())
        .await
        .unwrap_err();
    assert!(matches!(refused, OptionsError::TwoTierCluster));
}

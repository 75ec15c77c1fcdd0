//! How often the loader runs when a thousand readers miss one key at once, and what the readers get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache::{Body, Instance, Loaded, RedisOptions};
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;

use crate::server::Server;

const READERS: usize = 1000;
const LOAD: Duration = Duration::from_millis(100);
/// A reader that has no answer by then is counted as stuck.
const STUCK: Duration = Duration::from_secs(5);

type Call = BoxFuture<'static, bool>;
type Ask = Box<dyn Fn(Arc<AtomicU64>, bool) -> Call>;

/// Runs every contestant through every scene; gives the most loads that ours ever ran for one key.
pub fn run() -> u64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    // Panics are part of the show.
    std::panic::set_hook(Box::new(|_| {}));
    let most = runtime.block_on(scenes());
    drop(std::panic::take_hook());
    most
}

async fn scenes() -> u64 {
    let mut most = 0;
    for scene in [
        "cold key",
        "first gives up after 10 ms",
        "all give up after 20 ms",
        "loader panics",
    ] {
        let server = Server::start().await;
        for (name, ask) in contestants(&server).await {
            let loads = play(scene, name, &ask).await;
            if name.starts_with("millpond") {
                most = most.max(loads);
            }
        }
    }
    most
}

async fn play(scene: &str, name: &str, ask: &Ask) -> u64 {
    let loads = Arc::new(AtomicU64::new(0));
    let panics = scene == "loader panics";
    let begun = Instant::now();
    let calls = (0..READERS).map(|reader| {
        let patience = match (scene, reader) {
            ("first gives up after 10 ms", 0) => Duration::from_millis(10),
            ("all give up after 20 ms", _) => Duration::from_millis(20),
            _ => STUCK,
        };
        tokio::spawn(tokio::time::timeout(patience, ask(loads.clone(), panics)))
    });
    let answers = join_all(calls.collect::<Vec<_>>()).await;
    let took = begun.elapsed();
    let (mut served, mut failed, mut waiting) = (0, 0, 0);
    for answer in answers {
        match answer {
            Ok(Ok(true)) => served += 1,
            Ok(Ok(false)) | Err(_) => failed += 1,
            Ok(Err(_)) => waiting += 1,
        }
    }
    if scene == "all give up after 20 ms" {
        // The next reader comes when the load is over, if it was not dropped with its callers.
        tokio::time::sleep(LOAD).await;
        let _ = tokio::time::timeout(STUCK, ask(loads.clone(), false)).await;
    }
    let loads = loads.load(SeqCst);
    println!(
        "stampede, {scene:<27} {name:<32} {loads:>5} loads, {served:>4} served, {failed:>4} failed, \
         {waiting:>4} without answer, {took:.1?}",
    );
    loads
}

async fn contestants(server: &Server) -> Vec<(&'static str, Ask)> {
    let mut caches = Vec::new();
    for _ in 0..2 {
        let (builder, notes) = crate::builder();
        let cache = builder
            .redis(RedisOptions::single(&server.url()).unwrap())
            .await;
        let key = cache.key(&notes, Instance("au"), &1);
        caches.push((cache, key));
    }
    let turn = AtomicU64::new(0);
    let ours: Ask = Box::new(move |loads, panics| {
        let (cache, key) = caches[turn.fetch_add(1, SeqCst) as usize % 2].clone();
        Box::pin(async move {
            let load = move || async move {
                let value = work(loads, panics).await;
                Ok::<_, std::io::Error>(Loaded::found(Body::new(value), Timestamp::now()))
            };
            cache.get_or_load(&key, load).await.is_ok()
        })
    });
    let moka = moka::future::Cache::<String, Bytes>::new(10);
    let moka: Ask = Box::new(move |loads, panics| {
        let moka = moka.clone();
        Box::pin(async move {
            let load = async { Ok::<_, std::io::Error>(work(loads, panics).await) };
            moka.try_get_with("k".to_owned(), load).await.is_ok()
        })
    });
    let quick = Arc::new(quick_cache::sync::Cache::<String, Bytes>::new(10));
    let quick: Ask = Box::new(move |loads, panics| {
        let quick = quick.clone();
        Box::pin(async move {
            let load = async { Ok::<_, std::io::Error>(work(loads, panics).await) };
            quick.get_or_insert_async("k", load).await.is_ok()
        })
    });
    vec![
        ("millpond, 2 processes on a Redis", ours),
        ("moka try_get_with", moka),
        ("quick_cache get_or_insert_async", quick),
    ]
}

async fn work(loads: Arc<AtomicU64>, panics: bool) -> Bytes {
    loads.fetch_add(1, SeqCst);
    tokio::time::sleep(LOAD).await;
    assert!(!panics, "on purpose");
    crate::value(1)
}

//! How often the loader runs when many readers in two processes miss one key at once, and what the readers get.
//! The raw libraries know one process only, and get all readers there.

use std::io::BufRead as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache::{Body, Instance, Loaded, RedisOptions};
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use redis::aio::MultiplexedConnection;

use crate::server::Server;

/// How this program is asked to be one of the two processes.
pub const CHILD: &str = "--stampede";
const READERS: [usize; 2] = [64, 1000];
const SCENES: [&str; 4] = [
    "cold key",
    "first gives up after 10 ms",
    "all give up after 20 ms",
    "loader panics",
];
const LOAD: Duration = Duration::from_millis(100);
/// A reader that has no answer by then is counted as stuck.
const STUCK: Duration = Duration::from_secs(5);

type Call = BoxFuture<'static, bool>;
type Ask = Box<dyn Fn(Arc<AtomicU64>, bool) -> Call>;

/// How many readers were answered, were told of a failure, or gave up.
#[derive(Default)]
struct Ends {
    served: usize,
    failed: usize,
    without: usize,
}

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
    for readers in READERS {
        for scene in SCENES {
            most = most.max(two_processes(scene, readers).await);
            for (name, ask) in libraries() {
                let loads = Arc::new(AtomicU64::new(0));
                let begun = Instant::now();
                let ends = play(scene, readers, &loads, &ask).await;
                tell(scene, readers, name, loads.load(SeqCst), &ends, begun);
            }
        }
    }
    most
}

fn tell(scene: &str, readers: usize, name: &str, loads: u64, ends: &Ends, begun: Instant) {
    println!(
        "stampede of {readers:>4}, {scene:<27} {name:<32} {loads:>5} loads, {:>4} served, {:>4} failed, {:>4} \
         without answer, {:.1?}",
        ends.served,
        ends.failed,
        ends.without,
        begun.elapsed(),
    );
}

/// Ours: half of the readers in each of two processes that share a Redis, where the loads are counted too.
async fn two_processes(scene: &str, readers: usize) -> u64 {
    let server = Server::start().await;
    let program = std::env::current_exe().unwrap();
    let half = (readers / 2).to_string();
    let children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(&program)
                .args([CHILD, &server.url(), scene, &half])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    while server.run::<Option<u64>>(&["GET", "ready"]).await != Some(2) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let begun = Instant::now();
    let _: () = server.run(&["SET", "go", "1"]).await;
    let mut ends = Ends::default();
    for mut child in children {
        let mut said = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        let mut counts = said
            .split_whitespace()
            .map(|count| count.parse::<usize>().unwrap());
        let mut next = || counts.next().unwrap();
        ends.served += next();
        ends.failed += next();
        ends.without += next();
        assert!(child.wait().unwrap().success());
    }
    let loads: u64 = server.run(&["GET", "loads"]).await;
    tell(
        scene,
        readers,
        "millpond, 2 processes on a Redis",
        loads,
        &ends,
        begun,
    );
    loads
}

/// One of the two processes: `URL SCENE READERS`. Prints how its readers fared.
pub fn child(words: &[String]) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (url, scene) = (&words[0], words[1].as_str());
        let readers: usize = words[2].parse().unwrap();
        let client = redis::Client::open(url.as_str()).unwrap();
        let mut store = client.get_multiplexed_async_connection().await.unwrap();
        let (builder, notes) = crate::builder();
        let cache = builder.redis(RedisOptions::single(url).unwrap()).await;
        let key = cache.key(&notes, Instance("au"), &1);
        let counting = store.clone();
        let ask: Ask = Box::new(move |_, panics| {
            let (cache, key, counting) = (cache.clone(), key.clone(), counting.clone());
            Box::pin(async move {
                let load = move || async move {
                    count_in(counting).await;
                    let value = work(panics).await;
                    Ok::<_, std::io::Error>(Loaded::found(Body::new(value), Timestamp::now()))
                };
                cache.get_or_load(&key, load).await.is_ok()
            })
        });
        let _: () = redis::cmd("INCR")
            .arg("ready")
            .query_async(&mut store)
            .await
            .unwrap();
        loop {
            let go: Option<u8> = redis::cmd("GET")
                .arg("go")
                .query_async(&mut store)
                .await
                .unwrap();
            if go.is_some() {
                break;
            }
        }
        let ends = play(scene, readers, &Arc::default(), &ask).await;
        println!("{} {} {}", ends.served, ends.failed, ends.without);
    });
}

async fn count_in(mut store: MultiplexedConnection) {
    let _: () = redis::cmd("INCR")
        .arg("loads")
        .query_async(&mut store)
        .await
        .unwrap();
}

/// Lets the readers of one process ask at once, each as patient as the scene wants.
async fn play(scene: &str, readers: usize, loads: &Arc<AtomicU64>, ask: &Ask) -> Ends {
    let panics = scene == "loader panics";
    let calls = (0..readers).map(|reader| {
        let patience = match (scene, reader) {
            ("first gives up after 10 ms", 0) => Duration::from_millis(10),
            ("all give up after 20 ms", _) => Duration::from_millis(20),
            _ => STUCK,
        };
        tokio::spawn(tokio::time::timeout(patience, ask(loads.clone(), panics)))
    });
    let mut ends = Ends::default();
    for answer in join_all(calls.collect::<Vec<_>>()).await {
        match answer {
            Ok(Ok(true)) => ends.served += 1,
            Ok(Ok(false)) | Err(_) => ends.failed += 1,
            Ok(Err(_)) => ends.without += 1,
        }
    }
    if scene == "all give up after 20 ms" {
        // The next reader comes when the load is over, if it was not dropped with its callers.
        tokio::time::sleep(LOAD).await;
        let _ = tokio::time::timeout(STUCK, ask(loads.clone(), false)).await;
    }
    ends
}

fn libraries() -> [(&'static str, Ask); 2] {
    let moka = moka::future::Cache::<String, Bytes>::new(10);
    let moka: Ask = Box::new(move |loads, panics| {
        let moka = moka.clone();
        Box::pin(async move {
            let load = async {
                loads.fetch_add(1, SeqCst);
                Ok::<_, std::io::Error>(work(panics).await)
            };
            moka.try_get_with("k".to_owned(), load).await.is_ok()
        })
    });
    let quick = Arc::new(quick_cache::sync::Cache::<String, Bytes>::new(10));
    let quick: Ask = Box::new(move |loads, panics| {
        let quick = quick.clone();
        Box::pin(async move {
            let load = async {
                loads.fetch_add(1, SeqCst);
                Ok::<_, std::io::Error>(work(panics).await)
            };
            quick.get_or_insert_async("k", load).await.is_ok()
        })
    });
    [
        ("moka try_get_with", moka),
        ("quick_cache get_or_insert_async", quick),
    ]
}

async fn work(panics: bool) -> Bytes {
    tokio::time::sleep(LOAD).await;
    assert!(!panics, "on purpose");
    crate::value(1)
}

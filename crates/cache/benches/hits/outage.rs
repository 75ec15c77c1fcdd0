//! A Redis that refuses, hangs and answers again, call by call: ours beside the client that reconnects by itself.

use std::time::{Duration, Instant};

use cache::{Instance, RedisOptions};
use redis::aio::ConnectionManager;

use crate::netbox::{Netbox, Weather};
use crate::server::Server;

/// Calls that are told one by one in each weather.
const CALLS: usize = 4;
/// Calls after those.
const CALLS_AFTER: usize = 1_000;
/// How soon ours looks again. The default is 5 s.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Whoever has no answer by then is told as such.
const STUCK: Duration = Duration::from_secs(10);

/// Prints how long each call takes; gives the longest of ours in milliseconds.
pub fn run() -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut longest: f64 = 0.0;
        for (name, weather) in [("refused", Weather::Refuse), ("hung", Weather::BlackHole)] {
            longest = longest.max(ours(name, weather.clone()).await);
            theirs(name, weather).await;
        }
        longest
    })
}

async fn ours(name: &str, weather: Weather) -> f64 {
    let server = Server::start().await;
    let netbox = Netbox::before(server.socket()).await;
    let (builder, notes) = crate::builder();
    let options = RedisOptions::single(&netbox.url()).unwrap();
    let cache = builder.redis(options.probe_every(PROBE_EVERY)).await;
    let key = cache.key(&notes, Instance("au"), &1);
    let call = async || {
        let begun = Instant::now();
        let answer = cache.get_or_load(&key, || crate::load(1)).await.unwrap();
        (begun.elapsed(), answer.is_hit())
    };
    call().await;
    netbox.set(weather);
    let (mut said, mut longest) = (Vec::new(), Duration::ZERO);
    for _ in 0..CALLS {
        let (took, _) = call().await;
        longest = longest.max(took);
        said.push(format!("{took:.1?}"));
    }
    let mut after = Vec::new();
    for _ in 0..CALLS_AFTER {
        after.push(call().await.0);
    }
    after.sort();
    let at = |share: f64| after[(after.len() as f64 * share) as usize];
    let (median, p99) = (at(0.5), at(0.99));
    mend(&netbox).await;
    let begun = Instant::now();
    while !call().await.1 {
        assert!(begun.elapsed() < STUCK, "hits did not resume");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "Redis {name:<8} millpond get_or_load: {}, the next {CALLS_AFTER} {median:.1?} in the median, p99 {p99:.1?}; hits again {:.1?} after it answers (probe every {PROBE_EVERY:?})",
        said.join(", "),
        begun.elapsed(),
    );
    longest.as_secs_f64() * 1e3
}

async fn theirs(name: &str, weather: Weather) {
    let server = Server::start().await;
    let netbox = Netbox::before(server.socket()).await;
    let client = redis::Client::open(netbox.url()).unwrap();
    let manager = ConnectionManager::new(client).await.unwrap();
    let call = async || {
        let mut manager = manager.clone();
        let begun = Instant::now();
        let get = redis::cmd("GET").arg("note").to_owned();
        let answer = get.query_async::<Option<Vec<u8>>>(&mut manager);
        let answer = tokio::time::timeout(STUCK, answer).await;
        let how = match answer {
            Ok(Ok(_)) => "answered",
            Ok(Err(_)) => "failed",
            Err(_) => "no answer",
        };
        (begun.elapsed(), how)
    };
    call().await;
    netbox.set(weather);
    let mut said = Vec::new();
    for _ in 0..CALLS {
        let (took, how) = call().await;
        said.push(format!("{how} {took:.1?}"));
    }
    mend(&netbox).await;
    let begun = Instant::now();
    let mut is_back = false;
    while !is_back && begun.elapsed() < STUCK * 2 {
        is_back = call().await.1 == "answered";
    }
    let how = if is_back {
        "answers again"
    } else {
        "gave up on"
    };
    println!(
        "Redis {name:<8} redis ConnectionManager GET: {}; {how} {:.1?} after it does",
        said.join(", "),
        begun.elapsed(),
    );
}

/// Fair weather again. Connections whose bytes were swallowed end, as they would.
async fn mend(netbox: &Netbox) {
    netbox.set(Weather::Refuse);
    tokio::time::sleep(Duration::from_millis(20)).await;
    netbox.set(Weather::Fair);
}

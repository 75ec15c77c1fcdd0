//! One load per key in one process, whoever gives up.

use std::time::{Duration, Instant};

use cache::{CacheBuilder, Instance, MemoryOptions};
use futures::future::join_all;
use jiff::Timestamp;

use crate::kit::{self, Source, text, until};

fn memory() -> (cache::Cache, kit::Families) {
    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    (builder.memory(MemoryOptions::default()), families)
}

#[tokio::test]
async fn ten_thousand_waiters_of_a_failing_load_fail_together() {
    let (cache, families) = memory();
    let (source, key) = (
        Source::default(),
        cache.key(&families.notes, Instance("au"), &1),
    );
    let begun = Instant::now();
    let failing = || {
        let loads = source.loads.clone();
        move || async move {
            loads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await; // fails once all wait
            Err::<cache::Loaded<kit::Note>, _>(std::io::Error::other("no database"))
        }
    };
    let waiters = (0..10_000).map(|_| cache.get_or_load(&key, failing()));
    let answers = join_all(waiters).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(source.loads(), 1);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_load_completes_for_the_next_when_every_caller_gives_up() {
    let (cache, families) = memory();
    let (source, key) = (
        Source::default(),
        cache.key(&families.notes, Instance("au"), &1),
    );
    let callers = (0..10).map(|caller| {
        let load = source.slowly("a", Duration::from_millis(60));
        let patience = Duration::from_millis(if caller == 0 { 10 } else { 20 });
        tokio::time::timeout(patience, cache.get_or_load(&key, load))
    });
    assert!(join_all(callers).await.iter().all(Result::is_err));
    until("the load ends", || cache.families()[0].1.stored == 1).await;
    let answer = cache
        .get_or_load(&key, source.gives("b", Timestamp::now()))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("a", 1));
}

#[tokio::test]
async fn a_cache_that_is_off_keeps_nothing_and_still_shares_loads_of_those_who_ask_together() {
    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    let cache = builder.off();
    let (source, key) = (
        Source::default(),
        cache.key(&families.notes, Instance("au"), &1),
    );
    let together =
        (0..100).map(|_| cache.get_or_load(&key, source.slowly("a", Duration::from_millis(20))));
    assert!(
        join_all(together)
            .await
            .iter()
            .all(|answer| text(answer.as_ref().unwrap()) == "a")
    );
    // Whoever came after the first load began was given a second, which began after all of them.
    assert!(source.loads() <= 2, "{}", source.loads());
    let before = source.loads();
    cache
        .get_or_load(&key, source.gives("b", Timestamp::now()))
        .await
        .unwrap();
    assert_eq!(source.loads(), before + 1);
    assert_eq!(cache.presence(key.name()).await, cache::Presence::Unknown);
}

#[tokio::test]
async fn ten_times_what_fits_breaks_nothing_and_stays_within_bounds() {
    let mut builder = CacheBuilder::new("1");
    let families = kit::families(&mut builder);
    let bytes_max = cache::MEMORY_BYTES_MIN;
    let cache = builder.memory(MemoryOptions { bytes_max });
    let source = Source::default();
    let long = "x".repeat(20_000);
    for id in 0..(10 * bytes_max / long.len()) as u64 {
        let key = cache.key(&families.notes, Instance("au"), &id);
        let answer = cache
            .get_or_load(&key, source.gives(&long, Timestamp::now()))
            .await
            .unwrap();
        assert_eq!(text(&answer).len(), long.len());
        assert!(cache.health().memory_bytes <= bytes_max as u64);
    }
    assert!(
        cache.health().memory_bytes > bytes_max as u64 / 2,
        "{:?}",
        cache.health()
    );
}

#[tokio::test]
async fn a_load_ended_by_a_stopping_runtime_fails_its_waiters() {
    let (cache, families) = memory();
    let key = cache.key(&families.notes, Instance("au"), &1);
    let (cache_there, key_there) = (cache.clone(), key.clone());
    let (began, begun) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let load = move || async move {
                began.send(()).unwrap();
                futures::future::pending::<Result<cache::Loaded<kit::Note>, std::io::Error>>().await
            };
            let _ = cache_there.get_or_load(&key_there, load).await;
        });
        begun.recv().unwrap();
        runtime.shutdown_background();
    })
    .join()
    .unwrap();
    let source = Source::default();
    let answer = async {
        loop {
            match cache
                .get_or_load(&key, source.gives("a", Timestamp::now()))
                .await
            {
                Ok(answer) => break answer,
                Err(error) => assert!(matches!(error, cache::LoadError::Stopped { .. }), "{error}"),
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), answer)
        .await
        .unwrap();
    assert_eq!(text(&answer), "a");
}

#[tokio::test]
async fn a_watched_request_tells_which_families_it_read() {
    let (cache, families) = memory();
    let routes = cache::Routes::default();
    let names: Vec<String> = cache
        .families()
        .into_iter()
        .map(|(info, _)| info.name)
        .collect();
    for wrapped in [true, false] {
        for _ in 0..cache::REQUESTS_MIN {
            let request = async {
                if wrapped {
                    let key = cache.key(&families.notes, Instance("au"), &1);
                    let load = Source::default().gives("a", Timestamp::now());
                    cache.get_or_load(&key, load).await.unwrap();
                }
            };
            let ((), touched) = cache::watch(request).await;
            routes.note(if wrapped { "GET /notes" } else { "GET /bare" }, &touched);
        }
    }
    let examine = |route| cache::examine_route(&routes.evidence(route, &["note:{id}"], &names));
    assert_eq!(examine("GET /notes"), []);
    let found = examine("GET /bare");
    assert!(
        matches!(&found[..], [cache::Finding::NotWrapped { declared, .. }] if declared == &["note:{id}"])
    );
}

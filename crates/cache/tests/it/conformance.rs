//! What every store promises, run on each.

use std::time::Duration;

use cache::{Instance, Life, Loaded, Presence, Read, Source as From, Tenant, User};
use futures::FutureExt;

use crate::kit::{Kit, Note, Source, noon, text, until};

macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod memory { $(
            #[tokio::test]
            async fn $name() { super::$name(crate::kit::Kit::new(crate::kit::Kind::Memory).await).await; }
        )* }
        mod redis { $(
            #[tokio::test]
            async fn $name() { super::$name(crate::kit::Kit::new(crate::kit::Kind::Redis).await).await; }
        )* }
        mod two_tier { $(
            #[tokio::test]
            async fn $name() { super::$name(crate::kit::Kit::new(crate::kit::Kind::TwoTier).await).await; }
        )* }
    };
}

on_every_store!(
    a_hit_does_not_load,
    a_failed_load_is_not_kept,
    an_entry_expires_and_reading_does_not_prolong_it,
    a_life_counts_from_the_fetch,
    a_life_of_none_is_not_written,
    a_value_without_life_removes_its_predecessor,
    absence_is_kept_only_where_asked_for,
    an_invalidated_key_loads_once_and_its_neighbours_stay,
    a_fill_that_began_before_an_invalidation_is_not_kept,
    a_value_of_262144_bytes_is_kept_and_one_more_is_not,
    owners_with_the_same_ids_never_share,
    odd_keys_work,
    an_expired_entry_stands_in_for_a_failure_and_says_so,
    an_invalidated_entry_never_stands_in,
    an_entry_that_is_read_late_in_its_life_is_refreshed_ahead,
    refresh_replaces_what_is_there,
    a_bound_on_age_is_kept,
    clock_steps_prolong_no_life,
    counters_equal_what_happened,
    presence_tells_held_from_missing,
    every_stored_key_carries_a_ttl,
    a_panicking_loader_fails_every_waiter_at_once,
    a_hanging_loader_is_stopped,
);

async fn a_hit_does_not_load(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    let first = kit
        .cache
        .get_or_load(&key, source.gives("a", noon()))
        .await
        .unwrap();
    let second = kit
        .cache
        .get_or_load(&key, source.gives("b", noon()))
        .await
        .unwrap();
    assert_eq!((first.source(), second.is_hit()), (From::Loader, true));
    assert_eq!(
        (text(&second), second.as_of(), source.loads()),
        ("a", noon(), 1)
    );
}

async fn a_failed_load_is_not_kept(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    let error = kit
        .cache
        .get_or_load(&key, source.fails())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "loading `note:1` failed");
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("a", noon()))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("a", 2));
}

async fn an_entry_expires_and_reading_does_not_prolong_it(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    for step in 0..6 {
        let answer = kit
            .cache
            .get_or_load(&key, source.gives("a", noon()))
            .await
            .unwrap();
        assert_eq!(answer.is_hit(), step > 0);
        kit.clock.advance(Duration::from_millis(9_999));
    }
    kit.clock.advance(Duration::from_millis(6));
    let at = noon() + Duration::from_secs(60);
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("b", at))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("b", 2));
}

async fn a_life_counts_from_the_fetch(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    let fetched = noon() - Duration::from_secs(50);
    kit.cache
        .get_or_load(&key, source.gives("a", fetched))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_millis(9_999));
    assert!(
        kit.cache
            .get_or_load(&key, source.gives("b", fetched))
            .await
            .unwrap()
            .is_hit()
    );
    kit.clock.advance(Duration::from_millis(1));
    assert!(
        !kit.cache
            .get_or_load(&key, source.gives("b", fetched))
            .await
            .unwrap()
            .is_hit()
    );
}

async fn a_life_of_none_is_not_written(kit: Kit) {
    let key = kit.cache.key(&kit.families.notes, Instance("au"), &1);
    for _ in 0..2 {
        let load = || async {
            Ok::<_, std::io::Error>(Loaded::found(Note::new("a"), noon()).with_life(Life::Never))
        };
        assert!(!kit.cache.get_or_load(&key, load).await.unwrap().is_hit());
    }
    assert_eq!(kit.cache.families()[0].1.rejected_never, 2);
    if let Some(server) = &kit.server {
        assert_eq!(server.keys().await, Vec::<String>::new());
    }
}

async fn a_value_without_life_removes_its_predecessor(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    kit.cache
        .get_or_load(&key, source.gives("open", noon()))
        .await
        .unwrap();
    let load = || async {
        Ok::<_, std::io::Error>(Loaded::found(Note::new("closed"), noon()).with_life(Life::Never))
    };
    kit.cache.refresh(&key, load).await.unwrap();
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("closed", noon()))
        .await
        .unwrap();
    assert_eq!((text(&answer), answer.is_hit()), ("closed", false));
}

async fn absence_is_kept_only_where_asked_for(kit: Kit) {
    let source = Source::default();
    let kept = kit.cache.key(&kit.families.patient, Instance("au"), &1);
    let not_kept = kit.cache.key(&kit.families.notes, Instance("au"), &1);
    for key in [&kept, &not_kept, &kept, &not_kept] {
        let answer = kit
            .cache
            .get_or_load(key, source.finds_nothing(noon()))
            .await
            .unwrap();
        assert_eq!(answer.value(), None);
    }
    assert_eq!(source.loads(), 3);
    kit.clock.advance(Duration::from_secs(5));
    let answer = kit
        .cache
        .get_or_load(&kept, source.gives("now", kit_now(&kit)))
        .await
        .unwrap();
    assert_eq!(text(&answer), "now");
}

async fn an_invalidated_key_loads_once_and_its_neighbours_stay(kit: Kit) {
    let source = Source::default();
    let keys = [1, 2, 3].map(|id| kit.cache.key(&kit.families.notes, Instance("au"), &id));
    for key in &keys {
        kit.cache
            .get_or_load(key, source.gives("old", noon()))
            .await
            .unwrap();
    }
    let done = kit.cache.invalidate([keys[0].name(), keys[2].name()]).await;
    assert_eq!(done, cache::Invalidated::Everywhere);
    for (key, expected) in keys.iter().zip(["new", "old", "new"]) {
        for _ in 0..2 {
            let answer = kit
                .cache
                .get_or_load(key, source.gives("new", noon()))
                .await
                .unwrap();
            assert_eq!(text(&answer), expected);
        }
    }
    assert_eq!(source.loads(), 5);
}

async fn a_fill_that_began_before_an_invalidation_is_not_kept(kit: Kit) {
    let source = Source::default();
    let key = kit.cache.key(&kit.families.principals, (), "k");
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel::<()>();
    let load = move || async move {
        began.send(()).unwrap();
        gate.await.unwrap();
        Ok::<_, std::io::Error>(Loaded::found(Note::new("allowed"), noon()))
    };
    let (cache, reading) = (kit.cache.clone(), key.clone());
    let early = tokio::spawn(async move { cache.get_or_load(&reading, load).await });
    begun.await.unwrap();
    let _ = kit.cache.invalidate([key.name()]).await;
    let late = kit
        .cache
        .get_or_load(&key, source.gives("revoked", noon()))
        .await
        .unwrap();
    assert_eq!(
        text(&late),
        "revoked",
        "a reader after the invalidation joined the old fill"
    );
    go.send(()).unwrap();
    let early = early.await.unwrap().unwrap();
    assert_eq!(text(&early), "allowed", "it was asked for before");
    let after = kit
        .cache
        .get_or_load(&key, source.gives("loaded again", noon()))
        .await
        .unwrap();
    assert_eq!(text(&after), "revoked");
    assert_eq!(kit.cache.families()[4].1.rejected_invalidated, 1);
}

async fn a_value_of_262144_bytes_is_kept_and_one_more_is_not(kit: Kit) {
    let source = Source::default();
    let envelope = serde_json::to_vec(&Note::new("")).unwrap().len();
    for (id, over) in [(1, 0), (2, 1)] {
        let key = kit.cache.key(&kit.families.notes, Instance("au"), &id);
        let long = "x".repeat(cache::VALUE_BYTES_MAX - envelope + over);
        for _ in 0..2 {
            let answer = kit
                .cache
                .get_or_load(&key, source.gives(&long, noon()))
                .await
                .unwrap();
            assert_eq!(text(&answer), long);
        }
    }
    let stats = &kit.cache.families()[0].1;
    assert_eq!(
        (source.loads(), stats.rejected_size, stats.stored),
        (3, 2, 1)
    );
}

async fn owners_with_the_same_ids_never_share(kit: Kit) {
    let source = Source::default();
    let (notes, answers) = (&kit.families.notes, &kit.families.answers);
    let user = |tenant, user| User {
        tenant: Tenant(tenant),
        user,
    };
    let keys = [
        kit.cache.key(notes, Instance("au"), &7),
        kit.cache.key(notes, Instance("us"), &7),
        kit.cache.key(answers, user("a", "b"), "7"),
        kit.cache.key(answers, user("a/b", ""), "7"),
        kit.cache.key(answers, user("a", "b:7"), "7"),
        kit.cache.key(answers, user("", "a/b"), "7"),
        kit.cache
            .key(&kit.families.tagged, Tenant("a"), &("b".into(), 7)),
        kit.cache
            .key(&kit.families.tagged, Tenant("a"), &("b:7".into(), 7)),
    ];
    for round in 0..2 {
        for (n, key) in keys.iter().enumerate() {
            let answer = kit
                .cache
                .get_or_load(key, source.gives(&n.to_string(), noon()))
                .await
                .unwrap();
            assert_eq!(
                (text(&answer), answer.is_hit()),
                (n.to_string().as_str(), round == 1)
            );
        }
    }
}

async fn odd_keys_work(kit: Kit) {
    let source = Source::default();
    let long = "k".repeat(4096);
    let odd = [
        "",
        " ",
        "a b\r\nSET x y\r\n",
        "{tag}",
        "%",
        "*",
        "ключ 🔑",
        "a:b",
        &long,
    ];
    for round in 0..2 {
        for text_key in odd {
            let key = kit.cache.key(&kit.families.principals, (), text_key);
            let answer = kit
                .cache
                .get_or_load(&key, source.gives(text_key, noon()))
                .await
                .unwrap();
            assert_eq!(
                (text(&answer), answer.is_hit()),
                (text_key, round == 1),
                "{text_key:?}"
            );
            let found = kit.cache.locate_physical(key.physical()).unwrap();
            assert_eq!(
                (found.as_str(), found.logical()),
                (key.physical(), key.logical())
            );
        }
    }
    let endless = "k".repeat(cache::KEY_BYTES_MAX);
    let key = kit
        .cache
        .key(&kit.families.principals, (), endless.as_str());
    for _ in 0..2 {
        let answer = kit
            .cache
            .get_or_load(&key, source.gives("x", noon()))
            .await
            .unwrap();
        assert!(!answer.is_hit());
    }
    let stats = &kit.cache.families()[4].1;
    assert_eq!((stats.rejected_key, stats.bypassed), (2, 2));
}

async fn an_expired_entry_stands_in_for_a_failure_and_says_so(kit: Kit) {
    let source = Source::default();
    let key = kit.cache.key(&kit.families.patient, Instance("au"), &1);
    kit.cache
        .get_or_load(&key, source.gives("old", noon()))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_secs(61));
    for _ in 0..2 {
        let answer = kit.cache.get_or_load(&key, source.fails()).await.unwrap();
        assert_eq!(
            (text(&answer), answer.is_stale(), answer.as_of()),
            ("old", true, noon())
        );
    }
    let fresh = kit
        .cache
        .get_or_load(&key, source.gives("new", kit_now(&kit)))
        .await
        .unwrap();
    assert_eq!((text(&fresh), fresh.is_stale()), ("new", false));
    kit.clock.advance(Duration::from_secs(60 + 600));
    kit.cache
        .get_or_load(&key, source.fails())
        .await
        .unwrap_err();
    assert_eq!(kit.cache.families()[1].1.stale_served, 2);
}

async fn an_invalidated_entry_never_stands_in(kit: Kit) {
    let source = Source::default();
    let key = kit.cache.key(&kit.families.patient, Instance("au"), &1);
    kit.cache
        .get_or_load(&key, source.gives("old", noon()))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_secs(61));
    let (cache, name) = (kit.cache.clone(), key.name().clone());
    let load = move || async move {
        let _ = cache.invalidate([&name]).await;
        Err(std::io::Error::other("no database"))
    };
    kit.cache.get_or_load(&key, load).await.unwrap_err();
    kit.cache
        .get_or_load(&key, source.fails())
        .await
        .unwrap_err();
}

async fn an_entry_that_is_read_late_in_its_life_is_refreshed_ahead(kit: Kit) {
    let source = Source::default();
    let key = kit.cache.key(&kit.families.patient, Instance("au"), &1);
    kit.cache
        .get_or_load(&key, source.gives("old", noon()))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_secs(29));
    kit.cache
        .get_or_load(&key, source.gives("too early", noon()))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_secs(1));
    let now = kit_now(&kit);
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("new", now))
        .await
        .unwrap();
    assert_eq!(
        (text(&answer), answer.is_hit()),
        ("old", true),
        "the reader does not wait"
    );
    until("the refresh", || kit.cache.families()[1].1.stored == 2).await;
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("again", now))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("new", 2));
    assert_eq!(kit.cache.families()[1].1.refreshed_ahead, 1);
}

async fn refresh_replaces_what_is_there(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    kit.cache
        .get_or_load(&key, source.gives("old", noon()))
        .await
        .unwrap();
    kit.cache.refresh(&key, source.fails()).await.unwrap_err();
    let kept = kit
        .cache
        .get_or_load(&key, source.gives("no", noon()))
        .await
        .unwrap();
    assert_eq!(text(&kept), "old");
    kit.cache
        .refresh(&key, source.gives("new", noon()))
        .await
        .unwrap();
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("no", noon()))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("new", 3));
}

async fn a_bound_on_age_is_kept(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    kit.cache
        .get_or_load(&key, source.gives("old", noon()))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_secs(10));
    let within = Read::new().age_max(Duration::from_secs(10));
    assert!(
        kit.cache
            .read(&key, within, source.fails())
            .await
            .unwrap()
            .is_hit()
    );
    let stricter = Read::new().age_max(Duration::from_secs(9));
    let now = kit_now(&kit);
    let answer = kit
        .cache
        .read(&key, stricter, source.gives("new", now))
        .await
        .unwrap();
    assert_eq!(text(&answer), "new");
    assert_eq!(
        text(&kit.cache.get_or_load(&key, source.fails()).await.unwrap()),
        "new"
    );
}

async fn clock_steps_prolong_no_life(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    kit.cache
        .get_or_load(&key, source.gives("a", noon()))
        .await
        .unwrap();
    // Backwards by an hour: what was fetched in the future is not believed, or its life still ends.
    kit.clock.step_to(noon() - Duration::from_secs(3600));
    kit.clock.advance(Duration::from_secs(60));
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("b", noon()))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("b", 2));
    // Forwards by an hour, with a row stamped in the old time: never longer than its life.
    kit.clock.step_to(noon() + Duration::from_secs(3600));
    kit.clock.advance(Duration::from_secs(60));
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("c", noon()))
        .await
        .unwrap();
    assert_eq!((text(&answer), source.loads()), ("c", 3));
}

async fn counters_equal_what_happened(kit: Kit) {
    let source = Source::default();
    for round in 0..3 {
        for id in 0..5 {
            let key = kit.cache.key(&kit.families.notes, Instance("au"), &id);
            let load = source.gives("a", noon());
            assert_eq!(
                kit.cache.get_or_load(&key, load).await.unwrap().is_hit(),
                round > 0
            );
        }
    }
    let stats = &kit.cache.families()[0].1;
    assert_eq!(
        (stats.hits, stats.misses, stats.bypassed, stats.loads),
        (10, 5, 0, 5)
    );
    assert_eq!((stats.stored, stats.distinct_missed), (5, 5));
    assert_eq!(stats.stored_bytes, 5 * r#"{"text":"a"}"#.len() as u64);
    assert_eq!(stats.hit_ratio(), Some(10.0 / 15.0));
}

async fn presence_tells_held_from_missing(kit: Kit) {
    let (source, key) = (
        Source::default(),
        kit.cache.key(&kit.families.notes, Instance("au"), &1),
    );
    assert_eq!(kit.cache.presence(key.name()).await, Presence::Missing);
    kit.cache
        .get_or_load(&key, source.gives("a", noon()))
        .await
        .unwrap();
    kit.clock.advance(Duration::from_secs(20));
    let name = kit.cache.locate("i=au", "note:1").unwrap();
    let explained = kit.cache.explain(&name).await.unwrap();
    let (age, expires_in) = (Duration::from_secs(20), Duration::from_secs(40));
    assert_eq!(
        explained.presence,
        Presence::Held {
            age,
            expires_in,
            bytes: 12
        }
    );
    assert_eq!(
        (explained.logical.as_str(), explained.owner.as_str()),
        ("note:1", "i=au")
    );
    assert_eq!(explained.family.loader, "test.loader");
    assert_eq!(kit.cache.locate("t=au", "note:1"), None);
    assert_eq!(kit.cache.locate("i=au", "unknown:1"), None);
}

async fn every_stored_key_carries_a_ttl(kit: Kit) {
    let source = Source::default();
    let year = Duration::from_secs(365 * 24 * 3600);
    let key = kit.cache.key(&kit.families.notes, Instance("au"), &1);
    let load = move || async move {
        Ok::<_, std::io::Error>(Loaded::found(Note::new("a"), noon()).with_life(Life::For(year)))
    };
    kit.cache.get_or_load(&key, load).await.unwrap();
    let slow = kit.cache.key(&kit.families.notes, Instance("au"), &2);
    let (cache, reading) = (kit.cache.clone(), slow.clone());
    let load = source.slowly("b", Duration::from_millis(100));
    let loading = tokio::spawn(async move { cache.get_or_load(&reading, load).await });
    until("the load", || source.loads() == 1).await;
    let keys = match &kit.server {
        Some(server) => server.keys().await,
        None => return,
    };
    assert_eq!(keys.len(), 2, "a value and a lease: {keys:?}");
    for key in keys {
        let ttl: i64 = kit.server.as_ref().unwrap().run(&["PTTL", &key]).await;
        assert!((1..=30 * 24 * 3_600_000).contains(&ttl), "{key}: {ttl}");
        assert!(key.starts_with(&kit.cache.health().schema), "{key}");
    }
    loading.await.unwrap().unwrap();
}

async fn a_panicking_loader_fails_every_waiter_at_once(kit: Kit) {
    let key = kit.cache.key(&kit.families.notes, Instance("au"), &1);
    let source = Source::default();
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let loads = source.loads.clone();
    let load = move || async move {
        loads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        gate.await.unwrap();
        panic!("on purpose");
        #[expect(unreachable_code, reason = "it gives the closure its type")]
        Ok::<Loaded<Note>, std::io::Error>(Loaded::absent(noon()))
    };
    let first = kit.cache.get_or_load(&key, load);
    let others = (0..100).map(|_| {
        kit.cache
            .get_or_load(&key, source.gives("x", noon()))
            .boxed()
    });
    let all = futures::future::join(first, futures::future::join_all(others));
    let release = async {
        until("the load", || source.loads() >= 1).await;
        until("the waiters", || kit.cache.families()[0].1.misses == 101).await;
        go.send(()).unwrap();
    };
    let ((first, others), ()) = futures::future::join(all, release).await;
    assert!(matches!(
        first.unwrap_err(),
        cache::LoadError::Panicked { .. }
    ));
    assert!(
        others
            .iter()
            .all(|other| matches!(other, Err(cache::LoadError::Panicked { .. })))
    );
    assert_eq!(source.loads(), 1);
    let answer = kit
        .cache
        .get_or_load(&key, source.gives("ok", noon()))
        .await
        .unwrap();
    assert_eq!(text(&answer), "ok");
}

async fn a_hanging_loader_is_stopped(kit: Kit) {
    let mut builder = cache::CacheBuilder::new("2");
    let spec = crate::kit::spec::<cache::Everyone, u64>("hang:{id}");
    let hanging = builder
        .family(spec.load_max(Duration::from_millis(30)))
        .unwrap();
    let cache = match &kit.server {
        Some(server) => builder.redis(crate::kit::options(&server.url())).await,
        None => builder.memory(cache::MemoryOptions::default()),
    };
    let key = cache.key(&hanging, (), &1);
    let load = || futures::future::pending::<Result<Loaded<Note>, std::io::Error>>();
    let error = cache.get_or_load(&key, load).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the loader of `hang:1` was stopped after 30ms"
    );
    let answer = cache
        .get_or_load(&key, Source::default().gives("ok", noon()))
        .await
        .unwrap();
    assert_eq!(text(&answer), "ok");
}

fn kit_now(kit: &Kit) -> jiff::Timestamp {
    cache::Clock::now(&*kit.clock)
}

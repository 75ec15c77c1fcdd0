//! The shared budget seen from upstream: the simulator's wiretap is the witness.
//!
//! Time is compressed: the documented 60 calls in 60 s become 60 calls in a shorter window, on both sides alike.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mirror::{InstanceSettings, Mirror, ReadAsk, ResourceFilter, SecretSource};
use simulators::cin7::{Account, Cin7, Limit, Options};
use store::{
    instances::{CallLimit, ConnectionSpec},
    testing::TestDatabase,
};
use upstream::Secret;

use crate::house::{House, POLL, Working, instance, name, open, simulator, until, work};

fn limited(sales: usize, keys: usize, window: Duration) -> (Options, Account) {
    let keys = (0..keys)
        .map(|n| format!("b3a5d7f0-1111-4e6c-8a2e-0a1b2c3d4e1{n}"))
        .collect();
    let account = Account {
        sales_max: sales,
        keys,
        ..Account::gbp()
    };
    let limit = Some(Limit {
        calls: 60,
        per: window,
        sliding: true,
    });
    (
        Options {
            accounts: vec![account.clone()],
            limit,
            ..Options::for_testing()
        },
        account,
    )
}

fn sales_only(sim: &Cin7, account: &Account, window: Duration) -> InstanceSettings {
    InstanceSettings {
        resources: ResourceFilter::Only(vec!["sale".to_owned()]),
        limit: Some(CallLimit { calls: 60, window }),
        concurrency: Some(24),
        chores: Default::default(),
        freshness: Default::default(),
        ..instance("uk", sim, account)
    }
}

async fn details_are_in(database: &TestDatabase, sales: usize) {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let held: i64 = sqlx::query_scalar("SELECT count(*) FROM cin7.sale")
            .fetch_one(&database.pool())
            .await
            .unwrap();
        if held >= sales as i64 {
            return;
        }
        assert!(Instant::now() < deadline, "{held} of {sales} sales are in");
        tokio::time::sleep(POLL).await;
    }
}

/// Fetches `sales` details with two workers over `keys` connections; answers the seconds between the first and the
/// last of them, and the calls per key.
async fn backlog(sales: usize, keys: usize, window: Duration) -> (f64, BTreeMap<String, usize>) {
    let database = TestDatabase::fresh().await;
    let (options, account) = limited(sales, keys, window);
    let sim = simulator(options).await;
    // Two mirrors with pools and gates of their own are what two processes are to PostgreSQL.
    let mut workers = Vec::new();
    for owner in ["first", "second"] {
        let mirror = open(database.store(), vec![sales_only(&sim, &account, window)]).await;
        workers.push(work(&mirror, owner));
    }
    details_are_in(&database, sales).await;
    for worker in workers {
        worker.stop().await;
    }
    let calls = sim.wiretap().calls();
    assert_eq!(
        calls.iter().filter(|call| call.status == 429).count(),
        0,
        "the limit was passed"
    );
    let most = sim.wiretap().max_in_window(true, window);
    assert!(most <= 60, "{most} calls of one key in one window");
    assert!(
        most > 40,
        "{most} calls in a window: the limit was never near"
    );
    let details = sim.wiretap().of("sale");
    assert_eq!(details.len(), sales, "a detail was fetched twice");
    let took = details.iter().map(|c| c.arrived).max().unwrap()
        - details.iter().map(|c| c.arrived).min().unwrap();
    let mut per_key = BTreeMap::new();
    for call in calls {
        *per_key.entry(call.key).or_default() += 1;
    }
    (took.as_secs_f64(), per_key)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_connections_take_a_third_of_the_time_of_one_and_no_window_is_overdrawn() {
    // Long enough that the windows, not this machine, are what takes the time.
    let window = Duration::from_secs(3);
    let (three, per_key) = backlog(330, 3, window).await;
    let all: usize = per_key.values().sum();
    for (key, calls) in &per_key {
        let share = *calls as f64 / all as f64;
        assert!(
            (0.30..=0.37).contains(&share),
            "{key} carried {share:.3} of {all} calls"
        );
    }
    let (one, _) = backlog(330, 1, window).await;
    println!(
        "one connection {one:.2} s, three {three:.2} s, ratio {:.3}",
        three / one
    );
    assert!(
        three <= 0.37 * one,
        "three connections took {three:.2} s, one {one:.2} s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x15_cold_reads_in_the_middle_of_a_full_backfill_wait_less_than_two_seconds_at_60_a_minute()
{
    const READS: usize = 12;
    // Five times faster than life: 60 calls in 12 s, and two seconds become 0.4 s.
    let window = Duration::from_secs(12);
    let database = TestDatabase::fresh().await;
    let (options, account) = limited(600, 1, window);
    let sim = simulator(options).await;
    let mirror = open(database.store(), vec![sales_only(&sim, &account, window)]).await;
    let worker = work(&mirror, "backfill");
    until("the first window is spent", async || {
        sim.wiretap().of("sale").len() >= 50
    })
    .await;
    // The oldest come last: they are not in yet.
    let mut ids = sim.truth(&account.account_id).ids("sale");
    ids.sort_by_key(|id| std::cmp::Reverse(id.clone()));
    let held = |id: String| {
        let pool = database.pool();
        async move {
            let found: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT FROM cin7.sale WHERE id = $1)")
                    .bind(id.to_lowercase())
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            found
        }
    };
    let mut waits = Vec::new();
    let began = Instant::now();
    for id in ids {
        if waits.len() == READS {
            break;
        }
        // Ten in a window, which is four more than the reserve.
        tokio::time::sleep_until((began + window / 10 * waits.len() as u32).into()).await;
        if held(id.clone()).await {
            continue;
        }
        let asked = Instant::now();
        let answer = mirror
            .read(&name("sale"), "uk", &id, ReadAsk::default())
            .await
            .unwrap()
            .unwrap();
        waits.push(asked.elapsed());
        assert_eq!(answer.source, "upstream");
    }
    let waiting = database.store().queue_length("uk").await.unwrap();
    worker.stop().await;
    assert!(waiting > 100, "the backfill was over: {waiting} waiting");
    assert_eq!(waits.len(), READS);
    println!("cold reads waited {waits:?}; times five at 60 a minute");
    assert!(
        waits.iter().all(|wait| *wait < Duration::from_millis(400)),
        "{waits:?}"
    );
    assert_eq!(
        sim.wiretap()
            .calls()
            .iter()
            .filter(|call| call.status == 429)
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_goes_on_while_readers_ask_for_more_than_there_is() {
    for same_process in [true, false] {
        let window = Duration::from_millis(600);
        let database = TestDatabase::fresh().await;
        let (options, account) = limited(300, 1, window);
        let sim = simulator(options).await;
        let backfill = open(database.store(), vec![sales_only(&sim, &account, window)]).await;
        let readers = if same_process {
            backfill.clone()
        } else {
            open(database.store(), vec![sales_only(&sim, &account, window)]).await
        };
        let hot: Vec<String> = sim
            .truth(&account.account_id)
            .ids("sale")
            .into_iter()
            .take(40)
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let reads = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for id in hot.clone() {
            let (mirror, over, reads) = (readers.clone(), Arc::clone(&over), Arc::clone(&reads));
            tasks.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let ask = ReadAsk {
                        fresh: true,
                        max_age: None,
                    };
                    mirror.read(&name("sale"), "uk", &id, ask).await.unwrap();
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        until("readers are busy", async || {
            reads.load(Ordering::Relaxed) > 100
        })
        .await;
        sim.wiretap().clear();
        let worker = work(&backfill, "backfill");
        // Ten full windows.
        until("600 calls were made", async || sim.wiretap().len() >= 600).await;
        over.store(true, Ordering::Relaxed);
        let calls = sim.wiretap().calls();
        worker.stop().await;
        for task in tasks {
            task.await.unwrap();
        }
        let history = calls
            .iter()
            .filter(|c| !hot.iter().any(|id| c.query.contains(id.as_str())))
            .count();
        println!("{history} of {} calls went to the backfill", calls.len());
        assert!(
            history >= 15,
            "{history} of {} calls went to the backfill",
            calls.len()
        );
        assert!(history <= 200, "the readers were starved: {history}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_connection_is_left_alone_for_as_long_as_upstream_says() {
    let database = TestDatabase::fresh().await;
    let (mut options, account) = limited(250, 2, Duration::from_secs(1));
    // What is sent is `Retry-After: 1 Seconds`, as the real service words it.
    options.limit = Some(Limit {
        calls: 600,
        per: Duration::from_secs(1),
        sliding: true,
    });
    let sim = simulator(options).await;
    sim.faults().throttle_every(40);
    let mirror = open(
        database.store(),
        vec![sales_only(&sim, &account, Duration::from_millis(300))],
    )
    .await;
    let worker = work(&mirror, "one");
    details_are_in(&database, 250).await;
    let connections = database.store().connections(Some("uk")).await.unwrap();
    worker.stop().await;

    let calls = sim.wiretap().calls();
    let throttled: Vec<_> = calls.iter().filter(|call| call.status == 429).collect();
    assert!(throttled.len() >= 3, "{}", throttled.len());
    for no in &throttled {
        let told = no.answered.unwrap();
        let early = calls
            .iter()
            .filter(|c| c.key == no.key && c.arrived > told + Duration::from_millis(300))
            .filter(|c| c.arrived < told + Duration::from_millis(990))
            .count();
        assert_eq!(early, 0, "{early} calls with a key that was told to wait");
    }
    assert!(
        connections.iter().any(|c| c.learned < 1.0),
        "{connections:?}"
    );
    let failed: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(failed), 0)::bigint FROM millpond.run")
            .fetch_one(&database.pool())
            .await
            .unwrap();
    assert_eq!(failed, 0, "being throttled is no failure");
}

/// Secrets that can be changed while they are used.
#[derive(Default)]
struct Vault(Mutex<HashMap<String, String>>);

impl SecretSource for Vault {
    fn resolve(&self, reference: &str) -> Result<Secret, String> {
        self.0
            .lock()
            .unwrap()
            .get(reference)
            .map(Secret::new)
            .ok_or_else(|| "not in the vault".to_owned())
    }
}

async fn keyed(
    database: &TestDatabase,
    sim: &Cin7,
    account: &Account,
    vault: Arc<Vault>,
    keys: &[&str],
) -> Mirror {
    let mut settings = sales_only(sim, account, Duration::from_millis(600));
    settings.connections.truncate(keys.len());
    for (connection, key) in settings.connections.iter_mut().zip(keys) {
        connection
            .secrets
            .insert("application_key".to_owned(), (*key).to_owned());
        connection
            .secrets
            .insert("account_id".to_owned(), "account".to_owned());
    }
    Mirror::open(database.store(), vec![settings], vault, None)
        .await
        .unwrap()
}

async fn connection(database: &TestDatabase, name: &str) -> store::instances::ConnectionRow {
    let rows = database.store().connections(Some("uk")).await.unwrap();
    rows.into_iter().find(|row| row.name == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_set_aside_and_taken_back_when_its_key_is_mended() {
    let database = TestDatabase::fresh().await;
    let (options, account) = limited(500, 2, Duration::from_millis(600));
    let sim = simulator(options).await;
    let vault = Arc::new(Vault::default());
    let put = |name: &str, value: &str| {
        drop(
            vault
                .0
                .lock()
                .unwrap()
                .insert(name.to_owned(), value.to_owned()),
        )
    };
    put("account", &account.account_id);
    put("good", &account.keys[0]);
    put("other", "b3a5d7f0-0000-4e6c-8a2e-000000000000");
    let mirror = keyed(
        &database,
        &sim,
        &account,
        Arc::clone(&vault),
        &["good", "other"],
    )
    .await;
    let worker = work(&mirror, "one");

    until("the bad key is set aside", async || {
        connection(&database, "key-1").await.set_aside_at.is_some()
    })
    .await;
    let aside = connection(&database, "key-1").await;
    assert!(aside.set_aside_why.unwrap().contains("403"));
    until("the work moves over", async || {
        sim.wiretap().of("sale").len() > 60
    })
    .await;
    let refused = sim
        .wiretap()
        .calls()
        .iter()
        .filter(|call| call.status == 403)
        .count();
    assert!(
        refused <= 24,
        "{refused} calls with a refused key: more than were on their way"
    );

    put("other", &account.keys[1]);
    // Its time to be tried again has come.
    let mended = async || {
        sqlx::query("UPDATE millpond.connection SET probe_at = now() WHERE name = 'key-1' AND set_aside_at IS NOT NULL")
            .execute(&database.pool())
            .await
            .unwrap();
        connection(&database, "key-1").await.set_aside_at.is_none()
    };
    until("the mended key is taken back", mended).await;
    until("it works again", async || {
        sim.wiretap()
            .calls()
            .iter()
            .any(|c| c.key == account.keys[1] && c.status == 200)
    })
    .await;
    details_are_in(&database, 500).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_added_disabled_and_removed_while_everything_runs() {
    let database = TestDatabase::fresh().await;
    let (options, account) = limited(2000, 2, Duration::from_millis(600));
    let sim = simulator(options).await;
    let vault = Arc::new(Vault::default());
    for (name, value) in [
        ("account", &account.account_id),
        ("first", &account.keys[0]),
        ("second", &account.keys[1]),
    ] {
        vault
            .0
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.clone());
    }
    let mirror = keyed(&database, &sim, &account, vault, &["first"]).await;
    let worker: Working = work(&mirror, "one");
    let store = database.store();
    let calls_of = |key: usize| {
        sim.wiretap()
            .calls()
            .iter()
            .filter(|call| call.key == account.keys[key])
            .count()
    };
    let spend_a_window = async || {
        let first = calls_of(0);
        until("the first key goes on alone", async || {
            calls_of(0) > first + 60
        })
        .await;
    };
    until("the first key is busy", async || calls_of(0) > 60).await;

    let spec = ConnectionSpec {
        instance: "uk".to_owned(),
        name: "added".to_owned(),
        secrets: BTreeMap::from([
            ("application_key".to_owned(), "second".to_owned()),
            ("account_id".to_owned(), "account".to_owned()),
        ]),
        limit: Some(CallLimit {
            calls: 60,
            window: Duration::from_millis(600),
        }),
        share: 1.0,
        by_command: true,
    };
    store.save_connection(&spec).await.unwrap();
    until("the second key is busy", async || calls_of(1) > 60).await;

    store.enable_connection("uk", "added", false).await.unwrap();
    // What was on its way has arrived by the time the first key has spent a whole window's calls.
    spend_a_window().await;
    let second = calls_of(1);
    spend_a_window().await;
    assert_eq!(calls_of(1), second, "a disabled connection was used");

    store.enable_connection("uk", "added", true).await.unwrap();
    until("the second key is busy again", async || {
        calls_of(1) > second + 20
    })
    .await;
    store.remove_connection("uk", "added").await.unwrap();
    spend_a_window().await;
    let second = calls_of(1);
    spend_a_window().await;
    assert_eq!(calls_of(1), second, "a removed connection was used");
    worker.stop().await;

    let failed: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(failed), 0)::bigint FROM millpond.run")
            .fetch_one(&database.pool())
            .await
            .unwrap();
    assert_eq!(failed, 0, "changing connections made calls fail");
    assert_eq!(
        sim.wiretap()
            .calls()
            .iter()
            .filter(|c| c.status != 200)
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_readers_of_the_same_records_cost_one_call_each_record() {
    let house = House::with(200, |settings| {
        settings.resources = ResourceFilter::Only(vec!["sale".to_owned()])
    })
    .await;
    let ids = house.sim.truth(&house.account.account_id).ids("sale");
    assert_eq!(ids.len(), 200);
    let ids = Arc::new(ids);
    for round in 0..3 {
        let mut readers = Vec::new();
        for reader in 0..5 {
            let (mirror, ids) = (house.mirror.clone(), Arc::clone(&ids));
            readers.push(tokio::spawn(async move {
                for nth in 0..ids.len() {
                    let id = &ids[(nth + reader * 3) % ids.len()];
                    let ask = ReadAsk {
                        max_age: Some(Duration::from_secs(300)),
                        fresh: false,
                    };
                    let answer = mirror.read(&name("sale"), "uk", id, ask).await.unwrap();
                    assert!(answer.is_some_and(|a| a.stale.is_none()), "{id}");
                }
            }));
        }
        for reader in readers {
            reader.await.unwrap();
        }
        let calls = house.sim.wiretap().len();
        assert!(calls <= 200, "{calls} calls after round {round}");
    }
}

//! Real workers, really killed: afterwards the mirror equals upstream.
//!
//! `MILLPOND_SEED` repeats a run; `MILLPOND_ROUNDS` makes it longer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use simulators::cin7::{Account, Cin7, FaultRates, Options};
use store::testing::TestDatabase;

use crate::world::{CacheOf, Kind};

const RESOURCES: &[(&str, &str)] = &[
    ("sale_header", "saleList"),
    ("sale", "sale"),
    ("purchase", "advanced-purchase"),
    ("stock_transfer", "stockTransfer"),
    ("assembly", "finishedGoods"),
];

fn from_environment(name: &str, or: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(or, |text| text.parse().expect("a number"))
}

/// A worker that does not outlive the test, however that ends.
struct Doomed(Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        drop(self.0.kill()); // SIGKILL
        drop(self.0.wait());
    }
}

struct Yard {
    database: TestDatabase,
    sim: Cin7,
    account: Account,
    folder: tempfile::TempDir,
    _cache: CacheOf,
}

impl Yard {
    async fn new(seed: u64) -> Self {
        let account = Account {
            sales_max: 40,
            ..Account::gbp()
        };
        let options = Options {
            seed,
            accounts: vec![account.clone()],
            ..Options::for_testing()
        };
        let sim = Cin7::start(options, SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheOf::new(Kind::of_this_run());
        let mut config = format!(
            "{}[[instance]]\nname = \"uk\"\nconnector = \"cin7\"\nbase_url = \"{}\"\nprivate_hosts = true\n\
             timeout = \"2s\"\nlimit = {{ calls = 500, per = \"50ms\" }}\n",
            cache.line(),
            sim.base_url()
        );
        for (resource, kind, every) in [
            ("sale_header", "changes", "1s"),
            ("sale_header", "full", "4s"),
            ("stock_transfer_header", "full", "3s"),
        ] {
            config += &format!(
                "[[instance.schedule]]\nresource = \"{resource}\"\nkind = \"{kind}\"\nevery = \"{every}\"\n"
            );
        }
        config += "[[instance.connection]]\nname = \"main\"\n\
                   secrets = { account_id = \"env:SIM_ACCOUNT\", application_key = \"env:SIM_KEY\" }\n";
        std::fs::write(folder.path().join("millpond.toml"), config).unwrap();
        Self {
            database: TestDatabase::fresh().await,
            sim,
            account,
            folder,
            _cache: cache,
        }
    }

    fn millpond(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_millpond"));
        program
            .arg("--config")
            .arg(self.folder.path().join("millpond.toml"))
            .arg(command)
            .env_clear()
            .env("DATABASE_URL", self.database.url())
            .env("SIM_ACCOUNT", &self.account.account_id)
            .env("SIM_KEY", &self.account.keys[0])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        program
    }

    /// Waits until the worker has made `more` calls; fails when it makes none for half a minute.
    async fn until_calls(&self, worker: &mut Doomed, more: usize) {
        let goal = self.sim.wiretap().len() + more;
        let (mut seen, mut last) = (0, Instant::now());
        while seen < goal {
            let now = self.sim.wiretap().len();
            if now != seen {
                (seen, last) = (now, Instant::now());
            }
            assert!(
                worker.0.try_wait().unwrap().is_none(),
                "the worker ended by itself"
            );
            assert!(
                last.elapsed() < Duration::from_secs(30),
                "the worker makes no calls"
            );
            tokio::task::yield_now().await;
        }
    }

    async fn execute(&self, statement: &'static str) {
        sqlx::query(statement)
            .execute(&self.database.pool())
            .await
            .unwrap();
    }

    async fn held(&self, resource: &str) -> BTreeMap<String, Value> {
        let statement = format!("SELECT id, body FROM cin7.{resource} WHERE deleted_at IS NULL");
        let rows: Vec<(String, Value)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .fetch_all(&self.database.pool())
            .await
            .unwrap();
        rows.into_iter().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_in_the_middle_lose_and_double_nothing() {
    let seed = from_environment("MILLPOND_SEED", rand::random());
    let rounds = from_environment("MILLPOND_ROUNDS", 8);
    println!("MILLPOND_SEED={seed} MILLPOND_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let yard = Yard::new(seed).await;
    yard.sim.faults().rates(FaultRates {
        seed,
        p5xx: 0.05,
        ptimeout: 0.02,
        timeout_ms: 2500,
        ptorn: 0.01,
        perr200: 0.01,
        preset: 0.01,
        pthrottle: 0.0,
    });
    for _ in 0..rounds {
        let mut worker = Doomed(yard.millpond("worker").spawn().unwrap());
        for _ in 0..3 {
            yard.sim
                .tick(&yard.account.account_id, random.random_range(1..8));
            yard.sim
                .clock()
                .advance(Duration::from_secs(random.random_range(60..1800)));
            yard.until_calls(&mut worker, random.random_range(1..25))
                .await;
        }
        drop(worker);
        // The time after which nobody believes that it lives.
        yard.execute(
            "UPDATE millpond.job SET lease_until = now(), next_at = least(next_at, now())",
        )
        .await;
        yard.execute(
            "UPDATE millpond.fetch_queue SET leased_until = NULL, due_at = least(due_at, now())",
        )
        .await;
        yard.execute("UPDATE millpond.budget_slot SET free_at = least(free_at, now())")
            .await;
        yard.execute(
            "UPDATE millpond.run SET beat_at = now() - interval '1 hour' WHERE state = 'running'",
        )
        .await;
    }
    println!(
        "{} calls, {} struck by faults",
        yard.sim.wiretap().len(),
        yard.sim.faults().struck()
    );

    yard.sim.faults().clear();
    yard.execute("UPDATE millpond.job SET failures = 0, next_at = now()")
        .await;
    yard.execute("UPDATE millpond.fetch_queue SET attempts = 0, due_at = now()")
        .await;
    // Sales copy values of their customers and products, and no feed tells when those change: details that have
    // grown old are fetched again.
    yard.execute("UPDATE millpond.record_fetch SET fetched_at = fetched_at - interval '60 days'")
        .await;
    for _ in 0..3 {
        let output = yard.millpond("sync").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for (resource, path) in RESOURCES {
        let truth: BTreeMap<String, Value> = yard
            .sim
            .truth(&yard.account.account_id)
            .documents(path)
            .into_iter()
            .map(|(id, body)| (id.to_lowercase(), body))
            .collect();
        let held = yard.held(resource).await;
        let different: Vec<&String> = truth
            .keys()
            .chain(held.keys())
            .filter(|id| truth.get(*id) != held.get(*id))
            .collect();
        assert!(
            !truth.is_empty() && different.is_empty(),
            "seed {seed}: {resource} differs in {different:?}"
        );
    }
    let stuck: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM millpond.run WHERE state = 'running') + (SELECT count(*) FROM millpond.fetch_queue)",
    )
    .fetch_one(&yard.database.pool())
    .await
    .unwrap();
    assert_eq!(stuck, 0, "seed {seed}: stuck runs or fetches");
}

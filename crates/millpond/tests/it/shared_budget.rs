//! Two real processes share the budget of three connections.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use simulators::cin7::{Account, Cin7, Limit, Options};
use store::testing::TestDatabase;

use crate::world::{CacheOf, Kind};

const CALLS: u32 = 60;
const WINDOW: Duration = Duration::from_secs(2);

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_and_three_connections_never_pass_a_limit_and_share_the_work() {
    let mut account = Account {
        sales_max: 500,
        ..Account::gbp()
    };
    account.keys = ["a", "b", "c"]
        .map(|n| format!("b3a5d7f0-1111-4e6c-8a2e-0a1b2c3d4e0{n}"))
        .to_vec();
    let sim = Cin7::start(
        Options {
            accounts: vec![account.clone()],
            limit: Some(Limit {
                calls: CALLS,
                per: WINDOW,
                sliding: true,
            }),
            ..Options::for_testing()
        },
        SocketAddr::from(([127, 0, 0, 1], 0)),
    )
    .await
    .unwrap();
    let database = TestDatabase::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheOf::new(Kind::of_this_run());
    let mut config = format!(
        "{}[[instance]]\nname = \"uk\"\nconnector = \"cin7\"\nbase_url = \"{}\"\nprivate_hosts = true\n\
         resources = [\"sale_header\", \"sale\"]\nlimit = {{ calls = {CALLS}, per = \"2s\" }}\n",
        cache.line(),
        sim.base_url()
    );
    for n in 0..3 {
        config += &format!(
            "[[instance.connection]]\nname = \"key-{n}\"\n\
             secrets = {{ account_id = \"env:SIM_ACCOUNT\", application_key = \"env:SIM_KEY_{n}\" }}\n"
        );
    }
    std::fs::write(folder.path().join("millpond.toml"), config).unwrap();
    let worker = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_millpond"));
        program
            .arg("--config")
            .arg(folder.path().join("millpond.toml"))
            .arg("worker");
        program
            .env_clear()
            .env("DATABASE_URL", database.url())
            .env("SIM_ACCOUNT", &account.account_id);
        for (n, key) in account.keys.iter().enumerate() {
            program.env(format!("SIM_KEY_{n}"), key);
        }
        program
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Process(program.spawn().unwrap())
    };
    let (_first, _second) = (worker(), worker());

    let details = || {
        sim.wiretap()
            .of("sale")
            .iter()
            .filter(|call| call.status == 200)
            .count()
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while details() < 500 {
        assert!(
            Instant::now() < deadline,
            "{} details after two minutes",
            details()
        );
        tokio::task::yield_now().await;
    }

    let calls = sim.wiretap().calls();
    let throttled = calls.iter().filter(|call| call.status == 429).count();
    assert_eq!(throttled, 0, "the service turned calls away");
    let most = sim.wiretap().max_in_window(true, WINDOW);
    assert!(
        most <= CALLS as usize,
        "{most} calls of one key in one window"
    );
    for key in &account.keys {
        let share =
            calls.iter().filter(|call| call.key == *key).count() as f64 / calls.len() as f64;
        assert!(
            (0.30..=0.37).contains(&share),
            "{key} carried {share:.2} of {} calls",
            calls.len()
        );
    }
    println!(
        "{} calls, at most {most} of one key in a window",
        calls.len()
    );
}

//! The program against a simulated upstream: mirror, follow, verify, repair, stop.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use simulators::cin7::{Account, Cin7, Options};
use store::testing::TestDatabase;
use tokio::{io::AsyncBufReadExt as _, process::Command};

use crate::world::{CacheOf, Kind};

/// How long the program may take for anything here.
const DEADLINE: Duration = Duration::from_secs(120);

/// A small company, a database, and a configuration for both.
struct Company {
    sim: Cin7,
    database: TestDatabase,
    dir: tempfile::TempDir,
    _cache: CacheOf,
}

impl Company {
    async fn open() -> Self {
        let mut account = Account::gbp();
        account.sales_max = 30;
        let (id, key) = (account.account_id.clone(), account.keys[0].clone());
        let options = Options {
            accounts: vec![account],
            limit: None,
            ..Options::default()
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sim = Cin7::start(options, address).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), format!("{key}\n")).unwrap();
        let cache = CacheOf::new(Kind::of_this_run());
        let config = format!(
            "{}[[instance]]\nname = \"pond\"\nconnector = \"cin7\"\nbase_url = \"{}\"\nprivate_hosts = true\n\
             resources = [\"sale_header\", \"sale\", \"customer\", \"location\"]\nlimit = {{ calls = 5000, per = \"1s\" }}\n\
             [[instance.connection]]\nname = \"main\"\n\
             secrets = {{ account_id = \"env:POND_ACCOUNT\", application_key = \"file:key\" }}\n\
             [[instance.schedule]]\nresource = \"sale_header\"\nkind = \"changes\"\nevery = \"1s\"\n",
            cache.line(),
            sim.base_url()
        );
        std::fs::write(dir.path().join("millpond.toml"), config).unwrap();
        std::fs::write(dir.path().join("account"), id).unwrap();
        let database = TestDatabase::fresh().await;
        Self {
            sim,
            database,
            dir,
            _cache: cache,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let account = std::fs::read_to_string(self.dir.path().join("account")).unwrap();
        let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_millpond")));
        command
            .args(args)
            .env_clear()
            .env("DATABASE_URL", self.database.url())
            .env("POND_ACCOUNT", account)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end: exit code and its answer in JSON.
    async fn run(&self, args: &[&str]) -> (i32, Value) {
        let output = self.command(&[&["--json"], args].concat()).output();
        let output = tokio::time::timeout(DEADLINE, output)
            .await
            .expect("it must end")
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let answer = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"));
        (output.status.code().expect("it must end by itself"), answer)
    }

    fn account(&self) -> &str {
        &self.sim.options().accounts[0].account_id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_is_mirrored_verified_and_repaired() {
    let company = Company::open().await;
    let (code, report) = company.run(&["sync"]).await;
    assert_eq!(
        (code, &report["complete"]),
        (0, &Value::Bool(true)),
        "{report}"
    );
    let (code, report) = company.run(&["verify", "--sample", "10"]).await;
    assert_eq!(code, 0, "{report}");
    let (_, counted) = company
        .run(&["sql", "SELECT count(*) FROM cin7.sale"])
        .await;
    assert_eq!(
        counted["rows"][0][0],
        company.sim.truth(company.account()).documents("sale").len()
    );

    // One record: out of the mirror for nothing, or as fresh as upstream has it for one call.
    let (_, found) = company
        .run(&["sql", "SELECT id FROM cin7.sale ORDER BY id LIMIT 1"])
        .await;
    let id = found["rows"][0][0].as_str().unwrap();
    let calls = company.sim.wiretap().len();
    let (code, record) = company
        .run(&["get", "cin7.sale", "pond", id, "--history"])
        .await;
    assert_eq!(
        (code, &record["source"]),
        (0, &Value::from("mirror")),
        "{record}"
    );
    let (_, record) = company
        .run(&["get", "cin7.sale", "pond", id, "--max-age", "1h"])
        .await;
    assert_eq!(record["source"], "mirror", "{record}");
    assert_eq!(company.sim.wiretap().len(), calls);
    let (_, record) = company
        .run(&["get", "cin7.sale", "pond", id, "--fresh"])
        .await;
    assert_eq!(record["source"], "upstream", "{record}");
    assert_eq!(company.sim.wiretap().len(), calls + 1);

    let (_, status) = company.run(&["status"]).await;
    let sales = status["resources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["resource"] == "cin7.sale");
    assert_eq!(sales.unwrap()["records"], counted["rows"][0][0], "{status}");
    let (_, jobs) = company
        .run(&[
            "schedule",
            "set",
            "pond",
            "cin7.customer",
            "changes",
            "--every",
            "7m",
        ])
        .await;
    let job = |job: &&Value| job["resource"] == "cin7.customer" && job["kind"] == "changes";
    assert_eq!(
        jobs.as_array().unwrap().iter().find(job).unwrap()["every_ms"],
        420_000,
        "{jobs}"
    );

    // Wrong bodies behind the mirror's back are found, told by exit code, and mended.
    let spoil = "UPDATE millpond.record SET body = body || '{\"Status\": \"SPOILT\"}', hash = '\\x00' \
                 WHERE resource = 'cin7.sale_header' AND id IN \
                   (SELECT id FROM millpond.record WHERE resource = 'cin7.sale_header' ORDER BY id LIMIT 3)";
    let output = Command::new("psql")
        .args([company.database.url(), "-qc", spoil])
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (code, report) = company
        .run(&["verify", "--resource", "cin7.sale_header"])
        .await;
    assert_eq!(code, 3, "{report}");
    assert_eq!(report["resources"][0]["differing"]["count"], 3, "{report}");
    let (code, report) = company
        .run(&["verify", "--resource", "cin7.sale_header", "--repair"])
        .await;
    assert_eq!(code, 0, "{report}");
    let (code, report) = company
        .run(&["verify", "--resource", "cin7.sale_header"])
        .await;
    assert_eq!(code, 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_mirrors_follows_changes_and_stops_when_told() {
    let company = Company::open().await;
    let mut server = company
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(server.stderr.take().unwrap()).lines();
    let address = loop {
        let line = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .unwrap()
            .unwrap();
        let line = line.expect("the server ended before it listened");
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split(';').next().unwrap().to_owned();
        }
    };
    // Whoever logs into a pipe nobody reads stops some time.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    wait_for(&company, "SELECT count(*) FROM cin7.sale", 30).await;
    company.sim.edit_sales(company.account(), 5);
    wait_for(
        &company,
        "SELECT count(*) FROM cin7.sale WHERE version > 1",
        5,
    )
    .await;

    let (code, _) = company.run(&["runs"]).await;
    assert_eq!(code, 0, "commands work beside a server");
    let second = company
        .command(&["serve", "--listen", &address])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another program has this port"), "{said}");

    let pid = server.id().expect("the server runs");
    let killed = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .await
        .unwrap();
    assert!(killed.success());
    let ended = tokio::time::timeout(DEADLINE, server.wait())
        .await
        .expect("it must stop")
        .unwrap();
    assert_eq!(ended.code(), Some(0));
    let (_, running) = company.run(&["runs", "--state", "running"]).await;
    assert_eq!(running, Value::Array(Vec::new()), "a run was left open");
}

/// Waits until a query that counts answers `wanted`.
async fn wait_for(company: &Company, sql: &str, wanted: i64) {
    let began = Instant::now();
    loop {
        let (_, answer) = company.run(&["sql", sql]).await;
        let found = answer["rows"][0][0].as_i64();
        if found == Some(wanted) {
            return;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "{sql}: {found:?} instead of {wanted}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_with_0_when_every_line_got_better() {
    let dir = tempfile::tempdir().unwrap();
    let database = TestDatabase::fresh().await;
    let output = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .args(["--json", "demo", "--exit", "--sales", "100"])
        .env_clear()
        .env("DATABASE_URL", database.url())
        .current_dir(dir.path())
        .output();
    let output = tokio::time::timeout(2 * DEADLINE, output)
        .await
        .expect("it must end")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["asked"]["mirror_calls"], 0, "{report}");
    assert_eq!(report["asked"]["agrees"], true, "{report}");
    assert!(
        !report["asked"]["ids"].as_array().unwrap().is_empty(),
        "{report}"
    );
    assert_eq!(report["redundancy"]["naive_calls"], 600, "{report}");
    assert_eq!(report["redundancy"]["mirror_calls"], 0, "{report}");
    assert!(report["desk"]["values"].as_u64() > Some(50), "{report}");
    assert_eq!(report["desk"]["reads"], 5, "{report}");
    assert!(
        report["desk"]["api_calls"].as_f64() >= Some(5.0),
        "{report}"
    );
}

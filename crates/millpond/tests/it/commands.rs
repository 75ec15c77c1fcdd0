//! What the program does on the command line, as a process of its own.

use std::process::{Command, Output};

use serde_json::Value;
use store::testing::TestDatabase;

/// Runs the program with nothing in its environment but `DATABASE_URL`.
fn millpond(database: Option<&TestDatabase>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
    command
        .args(args)
        .env_clear()
        .current_dir(std::env::temp_dir());
    if let Some(database) = database {
        command.env("DATABASE_URL", database.url());
    }
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output
        .status
        .code()
        .expect("the program must end by itself")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn exit_codes_tell_usage_failure_and_absence_apart() {
    assert_eq!(code(&millpond(None, &["--help"])), 0);
    assert_eq!(code(&millpond(None, &["nonsense"])), 2);
    assert_eq!(
        code(&millpond(None, &["--config", "/nonexistent.toml", "runs"])),
        2
    );
    let away = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .arg("runs")
        .env_clear()
        .env("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/none")
        .output()
        .unwrap();
    assert_eq!(code(&away), 1);
    let said = said(&away);
    assert!(
        said.contains("env:DATABASE_URL") && said.contains("hint: "),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn commands_on_an_empty_database_answer_json() {
    let database = TestDatabase::fresh().await;
    for args in [
        vec!["runs"],
        vec!["quarantine"],
        vec!["connections", "list"],
        vec!["schedule", "list"],
        vec!["sql"],
        vec!["sql", "SELECT 1 AS one"],
    ] {
        let mut with_json = vec!["--json"];
        with_json.extend(&args);
        let output = millpond(Some(&database), &with_json);
        assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
        let answer = serde_json::from_slice::<Value>(&output.stdout);
        assert!(
            answer.is_ok(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[tokio::test]
async fn sql_that_writes_is_refused_with_what_is_allowed() {
    let database = TestDatabase::fresh().await;
    let output = millpond(Some(&database), &["sql", "DROP TABLE millpond.record"]);
    assert_eq!(code(&output), 2);
    assert!(said(&output).contains("SELECT"), "{}", said(&output));
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_key() {
    let database = TestDatabase::fresh().await;
    let output = millpond(Some(&database), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(code(&output), 2);
    assert!(said(&output).contains("millpond init"), "{}", said(&output));
}

#[tokio::test]
async fn the_first_key_is_printed_once_and_tenants_follow() {
    let database = TestDatabase::fresh().await;
    let ask = |args: &[&str]| {
        let output = millpond(Some(&database), &[&["--json"], args].concat());
        assert_eq!(code(&output), 0, "{args:?}: {}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let first = ask(&["init"]);
    assert!(first["credential"].as_str().unwrap().starts_with("mp_"));
    let again = millpond(Some(&database), &["init"]);
    assert_eq!(code(&again), 2);
    ask(&["tenants", "create", "acme", "--limit", "requests=10"]);
    let tenants = ask(&["tenants", "change", "acme", "--plan", "big"]);
    assert_eq!(tenants[0]["plan"], "big");
    assert_eq!(tenants[0]["limits"]["requests"], 10);
    ask(&["projects", "create", "acme", "web"]);
    let key = ask(&[
        "keys",
        "create",
        "the site",
        "--tenant",
        "acme",
        "--project",
        "web",
        "--role",
        "user",
    ]);
    let id = key["id"].as_str().unwrap();
    let rotated = ask(&["keys", "rotate", id]);
    assert_ne!(rotated["credential"], key["credential"]);
    assert!(ask(&["keys", "revoke", id])["revoked_at"].is_string());
    assert_eq!(ask(&["keys", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(ask(&["tenants", "delete", "acme"]), serde_json::json!([]));
}

#[tokio::test]
async fn unknown_names_are_told() {
    let database = TestDatabase::fresh().await;
    let output = millpond(Some(&database), &["schedule", "run", "nowhere"]);
    assert_eq!(code(&output), 2, "{}", said(&output));
    let output = millpond(
        Some(&database),
        &["connections", "disable", "nowhere", "main"],
    );
    assert_eq!(code(&output), 1);
    assert!(
        said(&output).contains("there is no connection `nowhere/main`"),
        "{}",
        said(&output)
    );
    let output = millpond(Some(&database), &["get", "Sale", "a", "b"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn a_connector_file_is_judged_with_line_and_key() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let good = format!("{root}/connectors/cin7-core.toml");
    assert_eq!(code(&millpond(None, &["connector", "check", &good])), 0);
    let bad = format!("{root}/millpond.example.toml");
    let output = millpond(None, &["--json", "connector", "check", &bad]);
    assert_eq!(code(&output), 3);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["problems"][0]["line"].is_u64(), "{answer}");
}

#[test]
fn a_secret_that_is_missing_is_named_by_config_check() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let example = format!("{root}/millpond.example.toml");
    let output = millpond(None, &["--config", &example, "config", "check"]);
    assert_eq!(code(&output), 2);
    assert!(
        said(&output).contains("CIN7_AU_ACCOUNT is not set"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_printed_page_is_the_one_in_the_repository() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let kept = std::fs::read_to_string(kept).unwrap_or_default();
    assert!(
        kept == millpond::cli::page(),
        "docs/cli.md is out of date: run `millpond cli-page > docs/cli.md`"
    );
}

#[tokio::test]
async fn b61_events_follow_what_happens() {
    use std::io::{BufRead as _, BufReader};
    let database = TestDatabase::fresh().await;
    let store = database.store();
    let data = serde_json::json!({ "candidates": 3 });
    let name = "cache:opportunities:refresh:started";
    store.tell(name, Some("psa"), &data).await.unwrap();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_millpond"))
        .args(["events", "--follow", "--name", "cache:"])
        .env_clear()
        .env("DATABASE_URL", database.url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(
        first.contains("psa  cache:opportunities:refresh:started  candidates=3"),
        "{first}"
    );
    // It printed the past, so it listens.
    store.tell("test:other", None, &data).await.unwrap();
    store
        .tell("cache:opportunities:refresh:completed", Some("psa"), &data)
        .await
        .unwrap();
    let second = lines.next().unwrap().unwrap();
    assert!(second.contains("refresh:completed"), "{second}");
    follower.kill().unwrap();
    follower.wait().unwrap();

    let past = millpond(Some(&database), &["--json", "events", "--limit", "1"]);
    let last: Value = serde_json::from_slice(&past.stdout).unwrap();
    assert_eq!(last["name"], "cache:opportunities:refresh:completed");
}

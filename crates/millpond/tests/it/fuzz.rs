//! Every route under requests made up from the API's own description, by a program that nobody here wrote.

use std::path::Path;

use tokio::process::Command;

use crate::world::World;

/// `scripts/setup test` puts it there.
const SCHEMATHESIS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/schemathesis/bin/schemathesis"
);

const KEY: &str = "a-key-of-the-configuration";

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_made_up_requests_as_it_is_described() {
    if !Path::new(SCHEMATHESIS).exists() {
        eprintln!("skipped: `scripts/setup test` installs schemathesis");
        return;
    }
    // A key of the configuration: one of the database's would be found, and revoked.
    let world = World::with_keys(&[KEY]).await;
    for instance in ["pond-uk", "pond-eu"] {
        let records = [
            ("1", r#"{"Total": 1.10}"#),
            ("2", r#"{"Lines": [{"SKU": "A"}]}"#),
        ];
        world.write("cin7.sale", instance, &records).await;
    }
    let key = format!("Authorization: Bearer {KEY}");
    let output = Command::new(SCHEMATHESIS)
        .arg("run")
        .arg(format!("http://{}/openapi.json", world.address))
        .args(["--header", &key])
        // What SQL, criteria and paths mean cannot be said by a schema: 400 may answer what a schema allows.
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
        ])
        // Made-up keys would keep everything else from being reached; `access` is about them.
        .args(["--generation-with-security-parameters", "false"])
        // These ask upstreams, which are away here.
        .args(["--exclude-path-regex", "payloads|refresh"])
        .args(["--phases", "examples,coverage,fuzzing", "--mode", "all"])
        // One worker: with two, Python 3.11 now and then reports "AST constructor recursion depth mismatch", because its
        // parser counts the depth of all threads together.
        .args(["--max-examples", "15", "--seed", "7", "--workers", "1"])
        .args([
            "--request-timeout",
            "30",
            "--max-failures",
            "20",
            "--no-color",
        ])
        .env(
            "SCHEMATHESIS_HOOKS",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fuzz/hooks.py"),
        )
        .current_dir(std::env::temp_dir())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("passed"), "{said}");
}

//! What configuration accepts, what it refuses, and in which words.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use millpond::{
    config::{load, parse, reference},
    environment::Environment,
};

/// What is said about `tests/it/bad/{name}.toml`.
fn problem(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/bad/{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let error = parse(
        &format!("{name}.toml"),
        &text,
        Path::new("."),
        &Environment::default(),
    )
    .expect_err("the file must be refused");
    let said = error.to_string();
    assert!(!said.contains("hunter2"), "a secret is shown: {said}");
    said
}

#[test]
fn an_unknown_key_is_named_with_what_is_allowed() {
    assert_snapshot!(problem("unknown_key"), @"unknown_key.toml:2: `server.listn`: unknown field `listn`, expected one of `listen`, `api_keys`, `body_bytes_max`, `request_timeout`, `grace`");
}

#[test]
fn a_number_without_a_unit_is_no_duration() {
    assert_snapshot!(problem("unit_missing"), @r#"unit_missing.toml:2: `server.grace`: invalid type: integer `5`, expected a duration with its unit in quotes, such as "30s", "5m" or "24h""#);
}

#[test]
fn an_unknown_unit_is_named() {
    assert_snapshot!(problem("unit_wrong"), @"unit_wrong.toml:2: `sql.timeout`: `5 weeks` is no duration: write a whole number and one of ms, s, m, h, d, as in `30s`");
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_shown() {
    assert_snapshot!(problem("literal_url"), @"literal_url.toml:2: `database.url`: expected where the secret is found, `env:NAME` or `file:PATH`; a secret itself does not belong into configuration (what stands there is not shown)");
    assert_snapshot!(problem("literal_api_key"), @"literal_api_key.toml:2: `server.api_keys`: expected where the secret is found, `env:NAME` or `file:PATH`; a secret itself does not belong into configuration (what stands there is not shown)");
    assert_snapshot!(problem("literal_secret"), @"literal_secret.toml:7: `instance[0].connection[0].secrets.application_key`: expected where the secret is found, `env:NAME` or `file:PATH`; a secret itself does not belong into configuration (what stands there is not shown)");
}

#[test]
fn a_connection_brings_exactly_the_secrets_of_its_connector() {
    assert_snapshot!(problem("missing_secret"), @"missing_secret.toml:7: `instance[0].connection[0].secrets`: `application_key` is missing. `cin7` needs: account_id, application_key");
    assert_snapshot!(problem("unknown_secret"), @"unknown_secret.toml:7: `instance[0].connection[0].secrets`: `token` is no secret of `cin7`. It needs: account_id, application_key");
}

#[test]
fn names_are_unique() {
    assert_snapshot!(problem("two_instances_of_one_name"), @"two_instances_of_one_name.toml:9: `instance[1].name`: there is another instance `cin7-au`: each needs a name of its own");
    assert_snapshot!(problem("two_connections_of_one_name"), @"two_connections_of_one_name.toml:8: `instance[0].connection[1].name`: there is another connection `main` of this instance");
}

#[test]
fn pairs_that_contradict_each_other_are_refused() {
    assert_snapshot!(problem("resources_and_except"), @"resources_and_except.toml:5: `instance[0].except`: stands beside `resources`: give one or the other");
    assert_snapshot!(problem("sql_outlives_request"), @"sql_outlives_request.toml:2: `sql.timeout`: is more than `server.request_timeout` (1m): the request would end first");
    assert_snapshot!(problem("url_and_data_dir"), @"url_and_data_dir.toml:3: `database.data_dir`: stands beside `database.url`: it is for Millpond's own server; give one or the other");
}

#[test]
fn a_connector_and_its_resources_must_exist() {
    assert_snapshot!(problem("unknown_connector"), @"unknown_connector.toml:3: `instance[0].connector`: xero:1: is no connector: built in is cin7, connectwise; anything else is the path of a file that ends in .toml");
    assert!(problem("unknown_resource").contains("`sales` is no resource of `cin7`. Resources: "));
}

#[test]
fn all_wrong_values_are_told_at_once() {
    assert_snapshot!(problem("instance_values"), @r#"
    instance_values.toml:2: `instance[0].name`: must be a lower-case letter followed by at most 62 lower-case letters, digits or `-`
    instance_values.toml:4: `instance[0].currency`: must be three capital letters, such as "AUD"
    instance_values.toml:6: `instance[0].base_url`: must begin with https:// or http://
    instance_values.toml:5: `instance[0].quiet`: must be hours in UTC, such as "22:00-06:00"
    "#);
    assert_snapshot!(problem("limit_and_share"), @r#"
    limit_and_share.toml:7: `instance[0].connection[0].share`: is 1.5: must be above 0 and at most 1
    limit_and_share.toml:8: `instance[0].connection[0].limit.calls`: is 0: must be from 1 to 1000000
    "#);
}

#[test]
fn a_kind_of_job_is_one_of_six() {
    assert_snapshot!(problem("job_kind"), @"job_kind.toml:6: `instance[0].schedule[0].kind`: unknown variant `hourly`, expected one of `changes`, `full`, `reconcile`, `sweep`, `watch`, `backfill`");
}

#[test]
fn a_log_filter_must_be_one() {
    assert_snapshot!(problem("log_filter"), @r#"log_filter.toml:2: `logs.filter`: is no filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5"#);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    assert_snapshot!(problem("no_toml"), @"no_toml.toml:1: is no TOML: unclosed table, expected `]`");
}

#[test]
fn a_named_file_must_exist() {
    let named = PathBuf::from("/nonexistent/millpond.toml");
    let error = load(Some(&named), &Environment::default()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/millpond.toml"));
}

#[test]
fn every_setting_says_where_it_comes_from() {
    let environment = Environment::of(&[("DATABASE_URL", "postgres://me:hunter2@db/mill")]);
    let text = "[server]\n\ngrace = \"5s\"\n";
    let loaded = parse("a.toml", text, Path::new("."), &environment).unwrap();
    let shown: Vec<String> = loaded
        .effective()
        .iter()
        .map(|setting| {
            format!(
                "{} = {} from {}",
                setting.key, setting.value, setting.origin
            )
        })
        .collect();
    let shown = shown.join("\n");
    assert!(
        shown.contains(r#"server.grace = "5s" from a.toml:3"#),
        "{shown}"
    );
    assert!(
        shown.contains(r#"database.url = "env:DATABASE_URL" from environment DATABASE_URL"#),
        "{shown}"
    );
    assert!(
        shown.contains(r#"sql.timeout = "30s" from default"#),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_example_is_a_whole_configuration_of_defaults() {
    let text = reference::example();
    let loaded = parse("example", &text, Path::new("."), &Environment::default()).unwrap();
    assert_eq!(loaded.config.instances.len(), 1);
    // With every key uncommented it still says what holds without it.
    let whole: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key)
                if key
                    .split(" = ")
                    .next()
                    .is_some_and(|name| name != key && !name.contains(' ')) =>
            {
                format!("{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let whole = parse("example", &whole, Path::new("."), &Environment::default()).unwrap();
    assert_eq!(whole.config, loaded.config);
}

#[test]
fn the_printed_pages_are_those_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, text, command) in [
        (
            "docs/config.md",
            reference::page(),
            "millpond config reference",
        ),
        (
            "millpond.example.toml",
            reference::example(),
            "millpond config example",
        ),
    ] {
        let kept = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(
            kept == text,
            "{file} is out of date: run `{command} > {file}`"
        );
    }
}

#[test]
fn b86_b87_absurd_tuning_stops_the_start() {
    let said = problem("chores");
    for part in [
        "chores.toml:2: `sweep.concurrency`: is 0: must be from 1 to 100",
        "chores.toml:3: `sweep.batch_delay`: is 25h: must be from 0ms to 1d",
        "chores.toml:5: `watch.per_cycle_max`: is 20000: must be from 1 to 10000",
        "chores.toml:6: `watch.cooldown`: is 2d: must be from 0ms to 1d",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let said = problem("negative");
    assert!(
        said.contains("negative.toml:2: `sweep.concurrency`") && said.contains("-6"),
        "{said}"
    );
    let refused = |name: &str, value: &str| {
        let environment = Environment::of(&[(name, value)]);
        let problem = parse("a.toml", "", Path::new("."), &environment).unwrap_err();
        problem.to_string()
    };
    for (name, values) in [
        ("CONCURRENCY", ["0", "-2", "six", "101", "1.5"]),
        ("BATCH_DELAY_MS", ["-1", "250ms", "86400001", "x", "0.5"]),
        (
            "CW_ADJUSTMENT_SYNC_MAX_PER_CYCLE",
            ["0", "-50", "10001", "x", "5e1"],
        ),
        (
            "CW_ADJUSTMENT_SYNC_COOLDOWN_MS",
            ["-600000", "10m", "86400001", "x", "1.0"],
        ),
    ] {
        for value in values {
            let said = refused(name, value);
            assert!(
                said.contains(name) && said.contains("whole number from"),
                "{said}"
            );
        }
    }
}

#[test]
fn b70_b71_b86_b87_tuning_comes_from_the_file_and_the_environment_goes_before() {
    let text = "[sweep]\nconcurrency = 3\nbatch_delay = \"0s\"\n[watch]\nper_cycle_max = 7\n";
    let loaded = parse("a.toml", text, Path::new("."), &Environment::default()).unwrap();
    assert_eq!(loaded.config.sweep.concurrency, 3);
    assert_eq!(loaded.config.sweep.batch_delay.to_string(), "0ms");
    assert_eq!(loaded.config.watch.per_cycle_max, Some(7));
    let environment = Environment::of(&[
        ("CONCURRENCY", "2"),
        ("BATCH_DELAY_MS", "1000"),
        ("CW_ADJUSTMENT_SYNC_MAX_PER_CYCLE", "5"),
        ("CW_ADJUSTMENT_SYNC_COOLDOWN_MS", "0"),
    ]);
    let loaded = parse("a.toml", text, Path::new("."), &environment).unwrap();
    assert_eq!(loaded.config.sweep.concurrency, 2);
    assert_eq!(loaded.config.sweep.batch_delay.to_string(), "1s");
    assert_eq!(loaded.config.watch.per_cycle_max, Some(5));
    assert_eq!(loaded.config.watch.cooldown.unwrap().to_string(), "0ms");
}

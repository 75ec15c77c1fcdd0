//! The call log beside the simulator's own record, and connections in a process that only answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use mirror::{Mirror, ReadAsk, ResourceFilter};
use serde_json::Value;
use simulators::cin7::{Account, FaultRates, Options};
use store::{instances::ConnectionSpec, testing::TestDatabase};
use upstream::CallLog;

use crate::house::{SayingSecrets, instance, name, open, simulator, sync_of, until};

/// Calls by what was asked and which status came; 0 where there was no whole answer.
type Counts = BTreeMap<(String, String, u64), u64>;

#[tokio::test(flavor = "multi_thread")]
async fn b105_b144_the_log_has_each_call_that_upstream_saw_and_no_other() {
    let database = TestDatabase::fresh().await;
    let account = Account {
        sales_max: 150,
        ..Account::gbp()
    };
    let sim = simulator(Options {
        accounts: vec![account.clone()],
        ..Options::for_testing()
    })
    .await;
    sim.faults().rates(FaultRates {
        seed: 7,
        p5xx: 0.04,
        preset: 0.04,
        ..FaultRates::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let log = CallLog::open(folder.path(), jiff::Timestamp::now()).unwrap();
    let path = log.path().to_owned();
    let settings = mirror::InstanceSettings {
        resources: ResourceFilter::Only(vec!["sale".to_owned(), "customer".to_owned()]),
        ..instance("uk", &sim, &account)
    };
    let secrets = Arc::new(SayingSecrets);
    let mirror = Mirror::open(database.store(), vec![settings], secrets, Some(log))
        .await
        .unwrap();
    // Faults may end a run: what counts is that every call is told.
    sync_of(&mirror, None, None).await;
    let ask = ReadAsk {
        max_age: None,
        fresh: true,
    };
    let ids = sim.truth(&account.account_id).ids("sale");
    for id in ids.iter().take(40) {
        let _ = mirror.read(&name("sale"), "uk", id, ask).await;
    }

    let text = std::fs::read_to_string(path).unwrap();
    let mut logged = Counts::new();
    for line in text.lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        let url = call["url"].as_str().unwrap().trim_start_matches('/');
        let path = url.split('?').next().unwrap().to_lowercase();
        let method = call["method"].as_str().unwrap().to_owned();
        let status = call["status"].as_u64().unwrap_or(0);
        *logged.entry((method, path, status)).or_default() += 1;
    }
    let mut seen = Counts::new();
    for call in sim.wiretap().calls() {
        let path = call.path.trim_start_matches('/').to_lowercase();
        let key = (call.method, path, u64::from(call.status));
        *seen.entry(key).or_default() += 1;
    }
    assert!(
        seen.keys().any(|key| key.2 >= 500),
        "no fault struck: {seen:?}"
    );
    assert!(seen.values().sum::<u64>() > 150, "{seen:?}");
    assert_eq!(logged, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_answers_notices_a_connection_that_comes_and_goes() {
    let database = TestDatabase::fresh().await;
    let keys = [1, 2].map(|n| format!("b3a5d7f0-1111-4e6c-8a2e-0a1b2c3d4e1{n}"));
    let account = Account {
        sales_max: 20,
        keys: keys.to_vec(),
        ..Account::gbp()
    };
    let sim = simulator(Options {
        accounts: vec![account.clone()],
        ..Options::for_testing()
    })
    .await;
    let mut settings = instance("uk", &sim, &account);
    settings.resources = ResourceFilter::Only(vec!["sale".to_owned()]);
    settings.connections.truncate(1);
    let first = settings.connections[0].clone();
    let mirror = open(database.store(), vec![settings]).await;
    let ids = sim.truth(&account.account_id).ids("sale");
    let read = async || {
        let ask = ReadAsk {
            max_age: None,
            fresh: true,
        };
        let _ = mirror.read(&name("sale"), "uk", &ids[0], ask).await;
        sim.wiretap().calls().last().map(|call| call.key.clone())
    };
    assert_eq!(read().await.as_deref(), Some(keys[0].as_str()));

    let store = database.store();
    let mut secrets = first.secrets.clone();
    for value in secrets.values_mut() {
        *value = value.replace(&keys[0], &keys[1]);
    }
    let spec = ConnectionSpec {
        instance: "uk".to_owned(),
        name: "added".to_owned(),
        secrets,
        limit: first.limit,
        share: 1.0,
        by_command: true,
    };
    store.save_connection(&spec).await.unwrap();
    store
        .enable_connection("uk", &first.name, false)
        .await
        .unwrap();
    until("the new connection is used", async || {
        read().await.as_deref() == Some(keys[1].as_str())
    })
    .await;
}

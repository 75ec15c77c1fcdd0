//! Everything that upstream has is in the mirror, and nothing else.

use simulators::cin7::{Account, Options};
use store::testing::TestDatabase;

use crate::house::{House, assert_same, held, instance, open, simulator, sync, truth};

/// Resource, path upstream, parameters that the connector sends.
type Compared = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

pub const RESOURCES: &[Compared] = &[
    ("sale_header", "saleList", &[]),
    ("sale", "sale", &[]),
    ("purchase_header", "purchaseList", &[]),
    ("purchase", "advanced-purchase", &[]),
    ("customer", "customer", &[("IncludeDeprecated", "true")]),
    ("stock_transfer", "stockTransfer", &[]),
    ("stock_adjustment", "stockadjustment", &[]),
    ("stocktake", "stocktake", &[]),
    ("assembly", "finishedGoods", &[]),
    ("disassembly", "disassembly", &[]),
    ("availability", "ref/productavailability", &[]),
    (
        "product",
        "product",
        &[
            ("IncludeDeprecated", "true"),
            ("IncludeBOM", "true"),
            ("IncludeSuppliers", "true"),
            ("IncludeReorderLevels", "true"),
            ("IncludeCustomPrices", "true"),
            ("IncludeAttachments", "true"),
        ],
    ),
    ("supplier", "supplier", &[("IncludeDeprecated", "true")]),
    ("location", "ref/location", &[]),
    ("tax", "ref/tax", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_brings_two_instances_whole_although_their_ids_collide() {
    let database = TestDatabase::fresh().await;
    let accounts: Vec<Account> = [Account::gbp(), Account::eur()]
        .into_iter()
        .map(|a| Account { sales_max: 60, ..a })
        .collect();
    let sim = simulator(Options {
        accounts: accounts.clone(),
        ..Options::for_testing()
    })
    .await;
    let settings = vec![
        instance("uk", &sim, &accounts[0]),
        instance("eu", &sim, &accounts[1]),
    ];
    let mirror = open(database.store(), settings).await;

    let report = sync(&mirror, None, None).await;

    assert!(report.complete, "{report:#?}");
    for (name, account) in [("uk", &accounts[0]), ("eu", &accounts[1])] {
        for (resource, path, params) in RESOURCES {
            let held = held(&mirror, resource, name).await;
            let truth = truth(&sim, account, path, params);
            assert!(!truth.is_empty(), "{path} has nothing to compare");
            if *resource == "availability" {
                assert_eq!(held.len(), truth.len());
            } else {
                assert_same(&format!("{name} {resource}"), &held, &truth);
            }
        }
    }
    let collisions: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM cin7.sale a JOIN cin7.sale b USING (id) WHERE a.instance = 'uk' AND b.instance = 'eu'",
    )
    .fetch_one(mirror.store().pool())
    .await
    .unwrap();
    assert!(
        collisions > 0,
        "the simulator's ids do not collide: the test shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_full_pass_writes_no_record_row() {
    let house = House::new(50).await;
    assert!(house.sync(None, None).await.complete);
    let rows = || async {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT resource || instance || id, xmin::text FROM millpond.record ORDER BY 1",
        )
        .fetch_all(&house.database.pool())
        .await
        .unwrap();
        rows
    };
    let before = rows().await;

    assert!(house.sync(None, Some("full")).await.complete);

    assert_eq!(before, rows().await);
}

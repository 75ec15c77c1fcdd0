//! `verify` finds every kind of damage, mends it on request, and finds nothing where there is nothing.

use std::collections::BTreeMap;

use mirror::{ResourceFilter, VerifiedResource, VerifyAsk, VerifyReport};

use crate::house::{House, assert_same};

async fn house() -> House {
    let chosen = ["sale", "customer", "availability"]
        .map(str::to_owned)
        .to_vec();
    let house = House::with(60, |settings| {
        settings.resources = ResourceFilter::Only(chosen)
    })
    .await;
    assert!(house.sync(None, None).await.complete);
    house
}

async fn verify(house: &House, repair: bool) -> BTreeMap<String, VerifiedResource> {
    let ask = VerifyAsk {
        sample: usize::MAX >> 1,
        repair,
        seed: 7,
        ..VerifyAsk::default()
    };
    let report: VerifyReport = house.mirror.verify(ask, None).await.unwrap();
    report
        .resources
        .into_iter()
        .map(|found| (found.resource.clone(), found))
        .collect()
}

/// `missing extra differing outdated` of a resource.
fn counts(found: &BTreeMap<String, VerifiedResource>, resource: &str) -> (u64, u64, u64, u64) {
    let found = &found[&format!("cin7.{resource}")];
    assert!(found.error.is_none(), "{:?}", found.error);
    (
        found.missing.count,
        found.extra.count,
        found.differing.count,
        found.outdated.count,
    )
}

async fn run(house: &House, statements: &[&str]) {
    for statement in statements {
        let done = sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned()))
            .execute(&house.database.pool())
            .await
            .unwrap();
        assert!(done.rows_affected() > 0, "it damaged nothing: {statement}");
    }
}

async fn equals_upstream(house: &House) {
    for (resource, path, params) in [
        ("sale_header", "saleList", &[][..]),
        ("sale", "sale", &[]),
        ("customer", "customer", &[("IncludeDeprecated", "true")]),
    ] {
        assert_same(
            resource,
            &house.held(resource).await,
            &house.truth(path, params),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_mirror_has_nothing_to_report_and_costs_the_pages_and_the_sample() {
    let house = house().await;
    house.sim.wiretap().clear();
    let ask = VerifyAsk {
        sample: 10,
        repair: true,
        seed: 1,
        ..VerifyAsk::default()
    };

    let report = house.mirror.verify(ask, None).await.unwrap();

    assert!(report.is_clean(), "{report:#?}");
    assert!(
        report
            .resources
            .iter()
            .all(|r| r.differences() == 0 && r.error.is_none() && r.repaired == 0)
    );
    assert_eq!(
        report.calls,
        house.sim.wiretap().len() as u64,
        "the stated cost is not the true one"
    );
    assert_eq!(house.sim.wiretap().of("sale").len(), 10);
    let sales = report
        .resources
        .iter()
        .find(|r| r.resource == "cin7.sale")
        .unwrap();
    assert_eq!((sales.upstream, sales.mirror, sales.compared), (60, 60, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_to_listed_records_is_found_and_mended() {
    let house = house().await;
    // An older history, so that what is written again meets its own past.
    house.sim.edit_sales(&house.account.account_id, 20);
    assert!(house.sync(None, None).await.complete);
    run(
        &house,
        &[
            "DELETE FROM cin7.sale_header WHERE id IN (SELECT id FROM millpond.record_version WHERE resource = 'cin7.sale_header' ORDER BY id LIMIT 2)",
            "UPDATE cin7.sale_header SET deleted_at = now() WHERE id IN (SELECT id FROM cin7.sale_header ORDER BY id OFFSET 5 LIMIT 3)",
            // The right hash over the wrong body.
            "UPDATE cin7.sale_header SET body = body || '{\"Status\":\"NONSENSE\"}' WHERE id IN (SELECT id FROM cin7.sale_header ORDER BY id OFFSET 10 LIMIT 4)",
            // An old version that claims to be of this moment.
            "UPDATE cin7.sale_header r SET body = v.body, hash = v.hash, upstream_at = v.upstream_at FROM (SELECT DISTINCT ON (id) * \
               FROM millpond.record_version WHERE resource = 'cin7.sale_header' ORDER BY id DESC LIMIT 1) v WHERE v.id = r.id",
            "INSERT INTO cin7.sale_header (resource, instance, id, body, hash, version, asked_at, changed_at) \
               SELECT resource, instance, 'fake-' || id, body, hash, 1, asked_at, changed_at FROM cin7.sale_header ORDER BY id OFFSET 20 LIMIT 2",
            "UPDATE cin7.customer SET hash = 'wrong', body = body - 'Name' WHERE id = (SELECT min(id) FROM cin7.customer)",
            "DELETE FROM cin7.availability WHERE id = (SELECT min(id) FROM cin7.availability)",
            "UPDATE cin7.availability SET body = jsonb_set(body, '{OnHand}', '-5') WHERE id = (SELECT max(id) FROM cin7.availability)",
            "UPDATE millpond.watermark SET as_of = now() + interval '1 minute'",
        ],
    )
    .await;

    let found = verify(&house, false).await;
    assert_eq!(counts(&found, "sale_header"), (5, 2, 5, 0));
    assert_eq!(counts(&found, "customer"), (0, 0, 1, 0));
    assert_eq!(counts(&found, "availability"), (1, 0, 1, 0));

    let mended = verify(&house, true).await;
    assert!(
        mended.values().all(|r| r.repaired >= r.differences()),
        "{mended:#?}"
    );

    let found = verify(&house, false).await;
    for resource in ["sale_header", "sale", "customer", "availability"] {
        assert_eq!(counts(&found, resource), (0, 0, 0, 0), "{resource}");
    }
    equals_upstream(&house).await;
    // What was mended goes on changing as everything else does.
    house.sim.edit_sales(&house.account.account_id, 60);
    assert!(house.sync(None, None).await.complete);
    equals_upstream(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_to_details_is_found_and_mended() {
    let house = house().await;
    house.sim.edit_sales(&house.account.account_id, 60);
    assert!(house.sync(None, None).await.complete);
    run(
        &house,
        &[
            "DELETE FROM cin7.sale WHERE id IN (SELECT id FROM cin7.sale ORDER BY id LIMIT 2)",
            "UPDATE cin7.sale SET deleted_at = now() WHERE id IN (SELECT id FROM cin7.sale ORDER BY id OFFSET 5 LIMIT 1)",
            "UPDATE cin7.sale SET body = body || '{\"Note\":\"NONSENSE\"}' WHERE id IN (SELECT id FROM cin7.sale ORDER BY id OFFSET 10 LIMIT 3)",
            // The detail of an older version of its header.
            "UPDATE millpond.record_fetch f SET signature = v.hash FROM millpond.record_version v WHERE v.resource = 'cin7.sale_header' \
               AND f.resource = 'cin7.sale' AND v.id = f.id AND f.id IN (SELECT id FROM cin7.sale ORDER BY id OFFSET 20 LIMIT 4)",
            "INSERT INTO cin7.sale (resource, instance, id, body, hash, version, asked_at, changed_at) \
               SELECT resource, instance, 'fake-' || id, body, hash, 1, asked_at, changed_at FROM cin7.sale ORDER BY id OFFSET 30 LIMIT 2",
        ],
    )
    .await;

    let found = verify(&house, false).await;
    assert_eq!(counts(&found, "sale"), (3, 2, 3, 4));
    assert_eq!(counts(&found, "sale_header"), (0, 0, 0, 0));

    verify(&house, true).await;

    assert_eq!(counts(&verify(&house, false).await, "sale"), (0, 0, 0, 0));
    equals_upstream(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_upstream_since_the_last_run_is_on_its_way_and_not_wrong() {
    let house = house().await;
    house.sim.edit_sales(&house.account.account_id, 4);
    house.sim.add_sales(&house.account.account_id, 2);

    let found = verify(&house, false).await;

    assert_eq!(counts(&found, "sale_header"), (0, 0, 0, 0));
    assert_eq!(found["cin7.sale_header"].pending, 6);
}

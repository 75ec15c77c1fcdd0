//! The language of conditions, asked over HTTP and compared with a plain look at every record.

use super::client::{Sim, psa, psa_with};
use serde_json::Value;
use simulators::connectwise::Options;

const DEALS: &str = "sales/opportunities";

async fn asked(sim: &Sim, conditions: &str) -> Vec<i64> {
    sim.ids(DEALS, &[("conditions", conditions)]).await
}

fn text<'v>(deal: &'v Value, path: &str) -> &'v str {
    deal.pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[tokio::test]
async fn each_operator_finds_what_a_plain_look_finds() {
    let sim = psa().await;
    let status = |deal: &Value| deal["status"]["id"].as_i64().unwrap();
    let name = |deal: &Value| deal["name"].as_str().unwrap().to_lowercase();
    let updated = |deal: &Value| text(deal, "/_info/lastUpdated").to_owned();
    let middle = {
        let mut all: Vec<String> = sim
            .psa
            .truth()
            .documents(DEALS)
            .iter()
            .map(|(_, deal)| updated(deal))
            .collect();
        all.sort();
        all[all.len() / 2].clone()
    };
    type Keep<'k> = Box<dyn Fn(&Value) -> bool + 'k>;
    let cases: Vec<(String, Keep<'_>)> = vec![
        ("status/id = 1".into(), Box::new(|d| status(d) == 1)),
        ("Status/ID!=1".into(), Box::new(|d| status(d) != 1)),
        ("status/name = \"won\"".into(), Box::new(|d| status(d) == 2)),
        (
            "status/name = 'Won' or status/name='Lost'".into(),
            Box::new(|d| [2, 3].contains(&status(d))),
        ),
        (
            "status/id in (2, 3,4)".into(),
            Box::new(|d| (2..=4).contains(&status(d))),
        ),
        ("status/id not in (1)".into(), Box::new(|d| status(d) != 1)),
        (
            "name contains \"office\"".into(),
            Box::new(|d| name(d).contains("office")),
        ),
        (
            "name not contains 'OFFICE' AND status/id=1".into(),
            Box::new(|d| !name(d).contains("office") && status(d) == 1),
        ),
        (
            "name like \"Office*\"".into(),
            Box::new(|d| name(d).starts_with("office")),
        ),
        (
            "name like '%for 7%'".into(),
            Box::new(|d| name(d).contains("for 7")),
        ),
        (
            "name not like 'Office*'".into(),
            Box::new(|d| !name(d).starts_with("office")),
        ),
        (
            "closedDate = null".into(),
            Box::new(|d| d.get("closedDate").is_none()),
        ),
        (
            "closedDate != null".into(),
            Box::new(|d| d.get("closedDate").is_some()),
        ),
        (
            "(status/id = 1 or status/id = 57) and company/id <= 4".into(),
            Box::new(|d| [1, 57].contains(&status(d)) && d["company"]["id"].as_i64().unwrap() <= 4),
        ),
        (
            "status/id = 1 or status/id = 57 and company/id <= 4".into(),
            Box::new(|d| {
                status(d) == 1 || status(d) == 57 && d["company"]["id"].as_i64().unwrap() <= 4
            }),
        ),
        ("businessUnitId = 1.0".into(), Box::new(|_| true)),
        ("totalSalesTax > -1".into(), Box::new(|_| true)),
        (
            "primarySalesRep/identifier = 'Ada'".into(),
            Box::new(|d| text(d, "/primarySalesRep/identifier") == "Ada"),
        ),
    ];
    type Fits = fn(&str, &str) -> bool;
    let times: Vec<(&str, Fits)> = vec![
        (">", |a, b| a > b),
        (">=", |a, b| a >= b),
        ("<", |a, b| a < b),
        ("<=", |a, b| a <= b),
        ("=", |a, b| a == b),
    ];
    for (conditions, keep) in &cases {
        assert_eq!(
            asked(&sim, conditions).await,
            sim.deals(keep),
            "{conditions}"
        );
    }
    for (op, fits) in times {
        for field in ["lastUpdated", "_info/lastUpdated", "LASTUPDATED"] {
            let conditions = format!("{field} {op} [{middle}]");
            let expected = sim.deals(|deal| fits(&updated(deal), &middle));
            assert_eq!(asked(&sim, &conditions).await, expected, "{conditions}");
        }
    }
    assert!(!sim.deals(|deal| updated(deal) > middle).is_empty());
}

#[tokio::test]
async fn a_moment_may_stand_in_utc_with_an_offset_without_a_zone_or_as_a_day() {
    let sim = psa().await;
    sim.psa
        .set_last_updated(
            "sales/opportunities/5",
            "2026-03-01T12:00:00Z".parse().unwrap(),
        )
        .unwrap();
    for moment in [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00",
        "2026-03-01T12:00:00.000000",
        "2026-03-01T14:00:00+02:00",
    ] {
        let found = asked(&sim, &format!("id = 5 and lastUpdated = [{moment}]")).await;
        assert_eq!(found, [5], "{moment}");
    }
    assert_eq!(
        asked(&sim, "id=5 and lastUpdated > [2026-03-01]").await,
        [5]
    );
    assert!(
        asked(&sim, "id=5 and lastUpdated > [2026-03-02]")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let sim = psa().await;
    for (conditions, part) in [
        ("status/id = ", "ends too early"),
        ("status/id ~ 1", "Unexpected"),
        ("(status/id = 1", "ends too early"),
        ("status/id = 1)", "Unexpected"),
        ("status/id = 'x'", "Expected a value of type Decimal"),
        ("lastUpdated > '2026-01-01'", "square brackets"),
        ("lastUpdated > [yesterday]", "not a valid datetime"),
        ("name > 5", "Expected a value of type String"),
        ("name = \"open end", "does not end"),
        ("nonsense = 1", "is not known"),
        ("closedFlag = false", "is not known"),
        ("lastUpdated contains 'x'", "need a string"),
        ("status/nonsense = 1", "is not known"),
    ] {
        let answer = sim.ask(DEALS, &[("conditions", conditions)]).await;
        assert_eq!(answer.status, 400, "{conditions}: {}", answer.text);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{conditions}: {message}");
    }
    let lenient = psa_with(Options {
        closed_flag_condition: true,
        ..Options::for_testing()
    })
    .await;
    let closed = asked(&lenient, "closedFlag = true").await;
    assert_eq!(
        closed,
        lenient.deals(|deal| (2..=4).contains(&deal["status"]["id"].as_i64().unwrap()))
    );
}

#[tokio::test]
async fn child_and_custom_field_conditions_look_into_the_rows() {
    let sim = psa().await;
    let contacts = sim.psa.truth().documents("company/contacts");
    let (id, mail) = contacts
        .iter()
        .find_map(|(id, contact)| {
            let items = contact["communicationItems"].as_array()?;
            let mail = items
                .iter()
                .find(|item| item["communicationType"] == "Email")?;
            Some((*id, mail["value"].as_str()?.to_owned()))
        })
        .unwrap();
    let conditions = format!(
        "communicationItems/value like \"{mail}\" AND communicationItems/communicationType = \"Email\""
    );
    assert_eq!(
        sim.ids("company/contacts", &[("childconditions", &conditions)])
            .await,
        [id]
    );
    // Both must hold in one row: the address is no phone number.
    let conditions = format!(
        "communicationItems/value = '{mail}' and communicationItems/communicationType = 'Phone'"
    );
    assert!(
        sim.ids("company/contacts", &[("childConditions", &conditions)])
            .await
            .is_empty()
    );

    let found = sim
        .ids(
            "procurement/catalog",
            &[(
                "customFieldConditions",
                "caption='Barcodes' and value contains '0000007'",
            )],
        )
        .await;
    assert_eq!(found, [8]);
    let tickets = sim
        .ids(
            "service/tickets",
            &[(
                "customFieldConditions",
                "caption = \"TomNumber\" AND value != null",
            )],
        )
        .await;
    assert_eq!(tickets.len(), 20);
    let details = sim
        .ids(
            "procurement/adjustments",
            &[("childConditions", "adjustmentDetails/quantityAdjusted < 0")],
        )
        .await;
    let expected: Vec<i64> = sim
        .psa
        .truth()
        .documents("procurement/adjustments")
        .into_iter()
        .filter(|(_, one)| {
            let rows = one["adjustmentDetails"].as_array().unwrap();
            rows.iter()
                .any(|row| row["quantityAdjusted"].as_i64().unwrap() < 0)
        })
        .map(|(id, _)| id)
        .collect();
    assert_eq!(details, expected);
    assert!(!details.is_empty());
}

#[tokio::test]
async fn rows_come_in_the_asked_order_and_trimmed_to_the_asked_fields() {
    let sim = psa().await;
    let rows = sim
        .get(
            DEALS,
            &[
                ("orderBy", "status/name desc, _info/lastUpdated asc"),
                ("pageSize", "1000"),
                ("fields", "id,status/name,_info/lastUpdated"),
            ],
        )
        .await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 300);
    assert_eq!(rows[0].as_object().unwrap().len(), 3, "{}", rows[0]);
    assert_eq!(rows[0]["status"].as_object().unwrap().len(), 1);
    let key = |row: &Value| {
        (
            text(row, "/status/name").to_lowercase(),
            text(row, "/_info/lastUpdated").to_owned(),
        )
    };
    for pair in rows.windows(2) {
        let ((a, at), (b, bt)) = (key(&pair[0]), key(&pair[1]));
        assert!(a > b || (a == b && at <= bt), "{a} {at} before {b} {bt}");
    }
    // Without an order, by id.
    let plain = sim.ids(DEALS, &[]).await;
    assert!(plain.is_sorted());
}

//! Rates of currencies, and the saved reports that use them.

use serde_json::{Value, json};

use crate::world::{CONFIG, Kind, World};

const KEY: &str = "a-key-of-the-configuration";

async fn ask(
    world: &World,
    key: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    let body = body.map(|body| body.to_string());
    let reply = world.send(method, path, &headers, body).await;
    let answer = match reply.body.is_empty() {
        true => Value::Null,
        false => reply.json(),
    };
    (reply.status, answer)
}

async fn stocked() -> World {
    let config = CONFIG
        .replace(
            "currency = \"GBP\"",
            "currency = \"GBP\"\nreporting_currency = \"GBP\"",
        )
        .replace(
            "currency = \"EUR\"",
            "currency = \"EUR\"\nreporting_currency = \"GBP\"",
        );
    let world = World::of(Kind::of_this_run(), &config, &[KEY]).await;
    let sale = |id: &str, day: &str, currency: &str, total: f64, status: &str| {
        let body = json!({
            "ID": id, "Status": status, "SaleOrderDate": format!("{day}T00:00:00"), "CustomerCurrency": currency,
            "Order": { "SaleOrderNumber": id, "Total": total },
        });
        (id.to_owned(), body.to_string())
    };
    for (instance, sales) in [
        (
            "pond-uk",
            vec![
                sale("a", "2026-01-03", "GBP", 10.01, "COMPLETED"),
                sale("b", "2026-01-30", "GBP", 5.05, "ORDERED"),
                sale("c", "2026-01-30", "GBP", 900.0, "VOIDED"),
            ],
        ),
        (
            "pond-eu",
            vec![
                sale("d", "2026-01-15", "EUR", 100.10, "COMPLETED"),
                sale("e", "2026-01-16", "EUR", 0.03, "COMPLETED"),
                sale("f", "2026-02-01", "EUR", 50.0, "COMPLETED"),
            ],
        ),
    ] {
        let sales: Vec<(&str, &str)> = sales
            .iter()
            .map(|(id, body)| (id.as_str(), body.as_str()))
            .collect();
        world.write("cin7.sale", instance, &sales).await;
    }
    world
}

#[tokio::test]
async fn a21_a23_sales_by_month_are_reported_to_the_cent_and_never_one_to_one() {
    let world = stocked().await;
    let report = "/v1/queries/sales-by-month/run";
    let ask_rows = async || -> Value {
        let (status, answer) = ask(
            &world,
            KEY,
            "POST",
            report,
            Some(json!({ "params": [null] })),
        )
        .await;
        assert_eq!(status, 200, "{answer}");
        answer["rows"].clone()
    };
    // 5 columns up to the native total, then the reporting currency, its total, and what lacks a rate.
    let uk = json!(["2026-01", "pond-uk", "GBP", 2, "15.06", "GBP", "15.06", 0]);
    let bare = |month: &str, total: &str, sales: i64| {
        json!([month, "pond-eu", "EUR", sales, total, "GBP", null, sales])
    };
    let rows = ask_rows().await;
    assert_eq!(
        numbers_as_text(&rows),
        json!([bare("2026-02", "50.0", 1), bare("2026-01", "100.13", 2), uk]),
        "{rows}"
    );

    let rates = json!({ "rates": [{ "month": "2026-01", "currency": "EUR", "reporting": "GBP", "rate": "0.8537" }] });
    let (status, saved) = ask(&world, KEY, "PUT", "/v1/rates", Some(rates)).await;
    assert_eq!(status, 200, "{saved}");
    let rows = ask_rows().await;
    // 100.13 * 0.8537 = 85.480981.
    let converted = json!(["2026-01", "pond-eu", "EUR", 2, "100.13", "GBP", "85.48", 0]);
    assert_eq!(
        numbers_as_text(&rows),
        json!([bare("2026-02", "50.0", 1), converted, uk]),
        "{rows}"
    );
    let (_, since) = ask(
        &world,
        KEY,
        "POST",
        report,
        Some(json!({ "params": ["2026-02-01"] })),
    )
    .await;
    assert_eq!(since["rows"].as_array().map(Vec::len), Some(1), "{since}");
}

/// Decimal columns as texts, whether the door answers with numbers or texts.
fn numbers_as_text(rows: &Value) -> Value {
    let rows = rows.as_array().unwrap().iter().map(|row| {
        let cells = row
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(n, cell)| match (n, cell) {
                (4 | 6, Value::Number(number)) => json!(number.to_string()),
                (_, cell) => cell.clone(),
            });
        Value::Array(cells.collect())
    });
    Value::Array(rows.collect())
}

#[tokio::test]
async fn wrong_rates_change_nothing_and_the_command_reads_what_the_door_shows() {
    let world = stocked().await;
    for (rate, said) in [
        (
            json!({ "month": "2026-01", "currency": "EUR", "reporting": "GBP", "rate": "1:1" }),
            "rate 2: `1:1` is no rate",
        ),
        (
            json!({ "month": "2026-01", "currency": "€", "reporting": "GBP", "rate": "1.2" }),
            "no currency",
        ),
        (
            json!({ "month": "soon", "currency": "EUR", "reporting": "GBP", "rate": "1.2" }),
            "no month",
        ),
    ] {
        let good =
            json!({ "month": "2026-03", "currency": "USD", "reporting": "GBP", "rate": "0.75" });
        let (status, problem) = ask(
            &world,
            KEY,
            "PUT",
            "/v1/rates",
            Some(json!({ "rates": [good, rate] })),
        )
        .await;
        assert_eq!(status, 400, "{problem}");
        assert!(
            problem["message"].as_str().unwrap().contains(said),
            "{problem}"
        );
    }
    let (_, answer) = ask(&world, KEY, "GET", "/v1/rates", None).await;
    assert_eq!(answer, json!({ "rates": [] }));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rates.csv");
    let text = "month,currency,reporting,rate\n2026-01,EUR,GBP,0.85\n2026-02,EUR,GBP,0.86\n2026-01,EUR,GBP,0.8537\n";
    let run = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::process::Command::new(env!("CARGO_BIN_EXE_millpond"))
            .args(["rates", "import"])
            .arg(&file)
            .env_clear()
            .env("DATABASE_URL", world.database_url())
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let wrong = run(&format!("{text}2026-03,EUR,GBP,nothing\n"));
    assert_eq!(wrong.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        complaint.contains("line 5") && complaint.contains("`nothing`"),
        "{complaint}"
    );
    let (_, answer) = ask(&world, KEY, "GET", "/v1/rates", None).await;
    assert_eq!(answer, json!({ "rates": [] }));
    assert!(run(text).status.success());
    let (_, answer) = ask(&world, KEY, "GET", "/v1/rates", None).await;
    let rate = |month: &str, rate: &str| json!({ "month": month, "currency": "EUR", "reporting": "GBP", "rate": rate });
    assert_eq!(
        answer["rates"],
        json!([rate("2026-02-01", "0.86"), rate("2026-01-01", "0.8537")])
    );
}

#[tokio::test]
async fn a_saved_query_is_its_tenants_own_and_runs_by_the_callers_rights() {
    let world = stocked().await;
    let key = async |tenant: &str, instance: &str| -> String {
        let made = ask(
            &world,
            KEY,
            "POST",
            "/v1/tenants",
            Some(json!({ "id": tenant })),
        )
        .await;
        assert_eq!(made.0, 201, "{}", made.1);
        let path = format!("/v1/tenants/{tenant}/instances/{instance}");
        assert!(ask(&world, KEY, "PUT", &path, None).await.0 < 300);
        let values = json!({ "tenant": tenant, "role": "developer", "title": tenant });
        let (_, made) = ask(&world, KEY, "POST", "/v1/keys", Some(values)).await;
        made["credential"].as_str().unwrap().to_owned()
    };
    let (uk, eu) = (
        key("britain", "pond-uk").await,
        key("europe", "pond-eu").await,
    );
    let query = json!({ "title": "How many", "sql": "SELECT count(*) FROM cin7.sale WHERE instance <> $1::text" });
    let path = "/v1/queries/how-many";
    assert_eq!(
        ask(&world, &uk, "PUT", path, Some(query.clone())).await.0,
        200
    );
    let run = format!("{path}/run");
    let (status, answer) = ask(&world, &uk, "POST", &run, Some(json!({ "params": ["x"] }))).await;
    assert_eq!((status, &answer["rows"]), (200, &json!([[3]])), "{answer}");
    for key in [&eu, KEY] {
        assert_eq!(ask(&world, key, "POST", &run, Some(json!({}))).await.0, 404);
        assert_eq!(ask(&world, key, "DELETE", path, None).await.0, 404);
        let (_, known) = ask(&world, key, "GET", "/v1/queries", None).await;
        assert!(!known.to_string().contains("how-many"), "{known}");
    }
    // What writes is refused when it runs, whoever saved it.
    let writes = json!({ "sql": "DELETE FROM cin7.sale" });
    assert_eq!(ask(&world, &uk, "PUT", path, Some(writes)).await.0, 200);
    assert_eq!(ask(&world, &uk, "POST", &run, Some(json!({}))).await.0, 400);
    for (path, body, expected) in [
        ("/v1/queries/Bad_Name", query.clone(), 400),
        ("/v1/queries/sales-by-month", query.clone(), 409),
        ("/v1/queries/empty", json!({ "sql": "" }), 400),
        (
            "/v1/queries/large",
            json!({ "sql": "x".repeat(100_001) }),
            400,
        ),
    ] {
        let (status, problem) = ask(&world, &uk, "PUT", path, Some(body)).await;
        assert_eq!(status, expected, "{path}: {problem}");
    }
    assert_eq!(ask(&world, &uk, "DELETE", path, None).await.0, 204);
    assert_eq!(ask(&world, &uk, "POST", &run, Some(json!({}))).await.0, 404);
}

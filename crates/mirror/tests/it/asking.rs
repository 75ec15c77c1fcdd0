//! Questions to the mirror, each answered twice: by PostgreSQL, and by a slow walk over upstream's documents.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;
use simulators::cin7::{Account, Options};
use store::{
    StoreError,
    read::{Criterion, Search},
    testing::TestDatabase,
};
use upstream::connector::ColumnType;

use crate::house::{House, connector, held, instance, name, open, simulator, sync};

fn seed() -> u64 {
    let seed = std::env::var("MILLPOND_SEED")
        .ok()
        .map_or_else(rand::random, |text| text.parse().unwrap());
    println!("MILLPOND_SEED={seed}");
    seed
}

async fn found(house: &House, criteria: &[String]) -> BTreeSet<String> {
    let mut search = Search::all(name("sale"));
    search.instances = vec!["uk".to_owned()];
    search.criteria = criteria
        .iter()
        .map(|text| text.parse::<Criterion>().unwrap())
        .collect();
    search.limit = 17;
    let mut ids = BTreeSet::new();
    loop {
        let page = house
            .database
            .store()
            .search(&search, &name("sale_header"))
            .await
            .unwrap();
        for record in page.records {
            assert!(
                ids.insert(record.id.clone()),
                "a record stands on two pages"
            );
        }
        match page.next {
            Some(next) => search.after = Some(next),
            None => return ids,
        }
    }
}

/// All values at `path`; `[]` after a key means each element.
fn values<'v>(body: &'v Value, path: &str) -> Vec<&'v Value> {
    path.split('.').fold(vec![body], |at, key| {
        let (key, each) = key
            .strip_suffix("[]")
            .map_or((key, false), |key| (key, true));
        let below = at.into_iter().filter_map(|value| value.get(key));
        if each {
            below.filter_map(Value::as_array).flatten().collect()
        } else {
            below.collect()
        }
    })
}

/// Whether the document meets `path`, sign and value, in the plainest way to say it.
fn holds(body: &Value, path: &str, sign: &str, wanted: &str) -> bool {
    let date = wanted.len() == 10 && wanted.as_bytes()[4] == b'-';
    let order = |value: &Value| -> Option<Ordering> {
        match value {
            Value::String(text) if date => Some(text[..10.min(text.len())].cmp(wanted)),
            Value::String(text) => Some(text.as_str().cmp(wanted)),
            Value::Number(number) => number.as_f64()?.partial_cmp(&wanted.parse::<f64>().ok()?),
            _ => None,
        }
    };
    let any = |test: &dyn Fn(Ordering) -> bool| {
        values(body, path).into_iter().filter_map(order).any(test)
    };
    match sign {
        "=" => values(body, path).iter().any(|v| match v {
            Value::String(text) => text == wanted,
            other => order(other) == Some(Ordering::Equal),
        }),
        "!=" => !holds(body, path, "=", wanted),
        "<" => any(&|o| o == Ordering::Less),
        "<=" => any(&|o| o != Ordering::Greater),
        ">" => any(&|o| o == Ordering::Greater),
        ">=" => any(&|o| o != Ordering::Less),
        "~" => values(body, path).iter().any(|v| {
            v.as_str()
                .is_some_and(|text| text.to_lowercase().contains(&wanted.to_lowercase()))
        }),
        other => panic!("{other}"),
    }
}

const FIELDS: [(&str, &[&str]); 12] = [
    ("Status", &["=", "!="]),
    ("Location", &["=", "!="]),
    ("CustomerID", &["=", "!="]),
    ("Customer", &["=", "~"]),
    ("SaleOrderDate", &["<=", ">="]),
    ("Order.Lines[].SKU", &["=", "!=", "~"]),
    ("Order.Lines[].Quantity", &["=", "<", "<=", ">", ">="]),
    ("Order.Lines[].Price", &["<=", ">="]),
    ("Order.Total", &["=", "<", "<=", ">", ">="]),
    ("CombinedPickingStatus", &["=", "!="]),
    ("SalesRepresentative", &["=", "~"]),
    ("Order.SaleOrderNumber", &["<=", ">=", "!="]),
];

#[tokio::test(flavor = "multi_thread")]
async fn random_conjunctions_of_eight_criteria_find_what_a_walk_over_all_documents_finds() {
    let mut random = StdRng::seed_from_u64(seed());
    let house = House::new(150).await;
    assert!(house.sync(Some("sale_header"), None).await.complete);
    let documents = house.truth("sale", &[]);
    assert_eq!(house.held("sale").await.len(), documents.len());
    let all: Vec<&Value> = documents.values().collect();
    let mut hits = 0;
    for _ in 0..120 {
        let model = all.choose(&mut random).unwrap();
        let mut criteria: Vec<(&str, &str, String)> = Vec::new();
        while criteria.len() < 8 {
            let (path, signs) = FIELDS.choose(&mut random).unwrap();
            // Most values are those of one sale, so that something is found; some are another's.
            let source = if random.random_bool(0.9) {
                model
            } else {
                all.choose(&mut random).unwrap()
            };
            let Some(value) = values(source, path).choose(&mut random).copied() else {
                continue;
            };
            let mut text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if *path == "SaleOrderDate" {
                text.truncate(10);
            }
            let sign = *signs.choose(&mut random).unwrap();
            if !holds(model, path, sign, &text) && random.random_bool(0.95) {
                continue;
            }
            criteria.push((path, sign, text));
        }
        let texts: Vec<String> = criteria
            .iter()
            .map(|(path, sign, value)| format!("{path}{sign}{value}"))
            .collect();
        let expected: BTreeSet<String> = documents
            .iter()
            .filter(|(_, body)| {
                criteria
                    .iter()
                    .all(|(path, sign, value)| holds(body, path, sign, value))
            })
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(found(&house, &texts).await, expected, "{texts:#?}");
        hits += usize::from(!expected.is_empty());
    }
    assert!(hits > 40, "only {hits} of 120 questions found anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_since_a_day_with_a_sku_from_a_location_to_a_customer_equal_the_oracle() {
    let mut random = StdRng::seed_from_u64(seed());
    let house = House::new(200).await;
    assert!(house.sync(Some("sale_header"), None).await.complete);
    house.sim.wiretap().clear();
    let documents = house.truth("sale", &[]);
    let all: Vec<&Value> = documents.values().collect();
    let text = |body: &Value, path: &str| values(body, path)[0].as_str().unwrap().to_owned();
    let (mut some, mut none) = (0, 0);
    for _ in 0..200 {
        let (a, b) = (
            all.choose(&mut random).unwrap(),
            all.choose(&mut random).unwrap(),
        );
        let Some(sku) = values(a, "Order.Lines[].SKU").choose(&mut random).copied() else {
            continue;
        };
        let sku = sku.as_str().unwrap();
        let (location, customer) = (
            text(a, "Location"),
            text(if random.random_bool(0.8) { a } else { b }, "CustomerID"),
        );
        // The very day of an order, the day before, and the day after it.
        let day: jiff::civil::Date = text(a, "SaleOrderDate")[..10].parse().unwrap();
        let day = day + jiff::Span::new().days(random.random_range(-1..=1));
        let criteria = [
            format!("SaleOrderDate>={day}"),
            format!("Order.Lines[].SKU={sku}"),
            format!("Location={location}"),
            format!("CustomerID={customer}"),
        ];
        let expected: BTreeSet<String> = documents
            .iter()
            .filter(|(_, body)| text(body, "SaleOrderDate")[..10] >= *day.to_string())
            .filter(|(_, body)| values(body, "Order.Lines[].SKU").iter().any(|v| *v == sku))
            .filter(|(_, body)| {
                text(body, "Location") == location && text(body, "CustomerID") == customer
            })
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(found(&house, &criteria).await, expected, "{criteria:?}");
        if expected.is_empty() {
            none += 1
        } else {
            some += 1
        }
    }
    println!("{some} questions had an answer, {none} had none");
    assert!(some > 20 && none > 20);
    assert_eq!(
        house.sim.wiretap().len(),
        0,
        "a question to the mirror called upstream"
    );

    let mut tx = house.database.pool().begin().await.unwrap();
    // So few rows are read faster than any index; the question is whether it could be used.
    sqlx::query("SET LOCAL enable_seqscan = off")
        .execute(&mut *tx)
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        r#"EXPLAIN SELECT id FROM cin7.sale WHERE body @> '{"Order":{"Lines":[{"SKU":"85123A"}]}}'"#,
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    assert!(
        plan.iter().any(|line| line.contains("sale_body")),
        "{plan:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_json_path_is_answered_in_postgresqls_words() {
    let house = House::new(5).await;
    for path in ["$.Order.", "$[", "not a path at all", "$.a ? (@ > )"] {
        let mut search = Search::all(name("sale"));
        search.json_path = Some(path.to_owned());
        let error = house
            .database
            .store()
            .search(&search, &name("sale_header"))
            .await
            .unwrap_err();
        let StoreError::Refused { source, .. } = error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().contains("jsonpath"), "{path}: {source}");
    }
    let mut search = Search::all(name("sale"));
    search.after = Some("zz".to_owned());
    assert!(
        house
            .database
            .store()
            .search(&search, &name("sale_header"))
            .await
            .is_err()
    );
}

/// Rows of a view over one document.
fn rows_of(body: &Value, each: &[Vec<String>]) -> usize {
    let Some((first, rest)) = each.split_first() else {
        return 1;
    };
    let array = first
        .iter()
        .try_fold(body, |at, key| at.get(key))
        .and_then(Value::as_array);
    array.map_or(0, |rows| rows.iter().map(|row| rows_of(row, rest)).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_has_its_typed_columns_and_as_many_rows_as_the_documents_call_for() {
    let house = House::new(60).await;
    assert!(house.sync(None, None).await.complete);
    let connector = connector();
    let mut names = HashSet::new();
    let all = connector
        .resources
        .iter()
        .map(|r| &r.name)
        .chain(connector.views.iter().map(|v| &v.name));
    for name in all {
        assert!(
            names.insert(name.clone()),
            "two relations are called {name}"
        );
    }
    let mut filled = 0;
    let mut slowest = (std::time::Duration::ZERO, String::new());
    for view in &connector.views {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = ('cin7.' || $1)::regclass AND attnum > 0",
        )
        .bind(&view.name)
        .fetch_all(&house.database.pool())
        .await
        .unwrap();
        let columns: BTreeMap<String, String> = columns.into_iter().collect();
        for column in &view.columns {
            let expected = match column.kind {
                ColumnType::Text => "text",
                ColumnType::Numeric => "numeric",
                ColumnType::Timestamptz => "timestamp with time zone",
                ColumnType::Date => "date",
                ColumnType::Boolean => "boolean",
                ColumnType::Integer => "bigint",
                ColumnType::Jsonb => "jsonb",
            };
            assert_eq!(
                columns.get(&column.name).map(String::as_str),
                Some(expected),
                "{}.{}",
                view.name,
                column.name
            );
            if column.money {
                let reporting = format!("{}_reporting", column.name);
                assert_eq!(
                    columns.get(&reporting).map(String::as_str),
                    Some("numeric"),
                    "{}.{reporting}",
                    view.name
                );
            }
        }
        let each: Vec<Vec<String>> = view.each.iter().map(|path| path.keys().to_vec()).collect();
        let documents = held(&house.mirror, &view.of, "uk").await;
        let expected: usize = documents.values().map(|body| rows_of(body, &each)).sum();
        // Every column is computed, not only counted.
        let began = std::time::Instant::now();
        let statement = format!("SELECT count(*), count(v::text) FROM cin7.{} v", view.name);
        let (rows, _): (i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .fetch_one(&house.database.pool())
            .await
            .unwrap();
        assert_eq!(rows as usize, expected, "{}", view.name);
        filled += usize::from(rows > 0);
        slowest = slowest.max((began.elapsed(), format!("{} with {rows} rows", view.name)));
        // A column that is null everywhere is a path that leads nowhere.
        let checks: Vec<String> = view
            .columns
            .iter()
            .map(|c| format!("count(\"{}\")", c.name))
            .collect();
        let statement = format!(
            "SELECT ARRAY[{}]::bigint[] FROM cin7.{}",
            checks.join(", "),
            view.name
        );
        let counts: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&house.database.pool())
            .await
            .unwrap();
        let empty: Vec<&str> = view
            .columns
            .iter()
            .zip(&counts)
            .filter(|(_, n)| **n == 0)
            .map(|(c, _)| c.name.as_str())
            .collect();
        if rows > 0 && !empty.is_empty() {
            println!("{}: null in all {rows} rows: {empty:?}", view.name);
        }
        assert!(
            rows == 0 || empty.len() * 2 < counts.len(),
            "{}: null everywhere: {empty:?}",
            view.name
        );
    }
    // Unpacking the body for every column of every line once took a hundred times as long.
    println!("the slowest view: {slowest:?}");
    assert!(slowest.0.as_secs() < 3, "{slowest:?}");
    let mut tx = house.database.pool().begin().await.unwrap();
    sqlx::query("SET LOCAL enable_seqscan = off")
        .execute(&mut *tx)
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT total FROM cin7.sale_overview WHERE order_number = 'SO-00001'",
    )
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    assert!(
        plan.iter()
            .any(|line| line.contains("sale_by_order_saleordernumber")),
        "{plan:#?}"
    );
    assert!(
        filled * 10 >= connector.views.len() * 7,
        "only {filled} of {} views have rows",
        connector.views.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_comes_with_its_reporting_value_and_rate_and_without_a_rate_with_none() {
    let database = TestDatabase::fresh().await;
    let account = Account {
        sales_max: 150,
        ..Account::eur()
    };
    let sim = simulator(Options {
        accounts: vec![account.clone()],
        ..Options::for_testing()
    })
    .await;
    let mirror = open(database.store(), vec![instance("eu", &sim, &account)]).await;
    assert!(sync(&mirror, Some("sale_header"), None).await.complete);
    let count = async |condition: &str| -> i64 {
        let statement = format!(
            "SELECT count(*) FROM cin7.sale_overview WHERE total IS NOT NULL AND ({condition})"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&database.pool())
            .await
            .unwrap()
    };
    let foreign = count("currency <> 'GBP'").await;
    assert!(foreign > 0);
    assert_eq!(
        count("currency <> 'GBP' AND (total_reporting IS NOT NULL OR reporting_rate IS NOT NULL)")
            .await,
        0,
        "converted without a rate"
    );

    let month: String = sqlx::query_scalar("SELECT max(order_date)::text FROM cin7.sale_overview")
        .fetch_one(&database.pool())
        .await
        .unwrap();
    let day: jiff::civil::Date = month.parse().unwrap();
    database
        .store()
        .save_rate(day, "EUR", "GBP", "0.8537")
        .await
        .unwrap();
    let this_month = format!("date_trunc('month', order_date) = date_trunc('month', date '{day}')");
    assert!(count(&format!("currency = 'EUR' AND {this_month}")).await > 0);
    assert_eq!(
        count(&format!("currency = 'EUR' AND {this_month} AND (total_reporting, reporting_rate) IS DISTINCT FROM (total * 0.8537, 0.8537)")).await,
        0
    );
    assert_eq!(
        count(&format!(
            "currency <> 'GBP' AND NOT {this_month} AND total_reporting IS NOT NULL"
        ))
        .await,
        0
    );
    assert_eq!(
        count("currency = 'GBP' AND (total_reporting, reporting_rate) IS DISTINCT FROM (total, 1)")
            .await,
        0
    );
    assert_eq!(count("reporting_currency IS DISTINCT FROM 'GBP'").await, 0);
}

//! The SQL door: what it answers, and what it keeps out.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use store::reader::{Limits, QueryAnswer, QueryError, Reader, RoleError, ensure_reader_role};
use store::testing::TestDatabase;

/// How long a condition outside the test may take to come true.
const DEADLINE: Duration = Duration::from_secs(20);

/// A mirror with three sales, and a door with two places.
async fn door() -> (TestDatabase, Reader) {
    let database = TestDatabase::fresh().await;
    sqlx::raw_sql(
        r#"CREATE SCHEMA cin7;
        CREATE TABLE cin7.sale PARTITION OF millpond.record FOR VALUES IN ('cin7.sale');
        INSERT INTO millpond.record (resource, instance, id, body, hash, version, asked_at, changed_at)
        SELECT 'cin7.sale', 'au', n::text, jsonb_build_object('Total', n * 1.10), '', 1, now(), now()
          FROM generate_series(1, 3) n"#,
    )
    .execute(&database.pool())
    .await
    .unwrap();
    let reader = Reader::open(&database.pool(), 2).await.unwrap();
    (database, reader)
}

async fn ask(reader: &Reader, sql: &str) -> Result<QueryAnswer, QueryError> {
    reader.query(sql, &[], &Limits::default()).await
}

fn rows(answer: &QueryAnswer) -> Value {
    serde_json::to_value(&answer.rows).unwrap()
}

async fn answer(reader: &Reader, sql: &str) -> Value {
    match ask(reader, sql).await {
        Ok(answer) => rows(&answer),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

fn message(answer: Result<QueryAnswer, QueryError>) -> String {
    match answer {
        Ok(answer) => format!("answered {}", rows(&answer)),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn answers_with_names_types_and_exact_values() {
    let (_database, reader) = door().await;
    let sql = "SELECT id, body->'Total' AS total, 12345678901234567890.10::numeric AS n, true AS b, NULL AS nothing,
                      ARRAY[1, 2] AS a, '2026-01-05 10:00+00'::timestamptz AS t, 'x' AS n
                 FROM cin7.sale ORDER BY id DESC LIMIT 1";
    let answer = ask(&reader, sql).await.unwrap();
    let columns: Vec<String> = answer
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.type_name))
        .collect();
    assert_eq!(
        columns.join(", "),
        "id text, total jsonb, n numeric, b bool, nothing text, a int4[], t timestamptz, n text"
    );
    assert_eq!(
        answer.rows[0].get(),
        r#"["3",3.30,12345678901234567890.10,true,null,[1,2],"2026-01-05T10:00:00+00:00","x"]"#
    );
    assert_eq!(answer.truncated, None);
}

#[tokio::test]
async fn an_empty_answer_still_has_its_columns() {
    let (_database, reader) = door().await;
    let answer = ask(&reader, "SELECT id FROM cin7.sale WHERE false")
        .await
        .unwrap();
    assert_eq!((answer.columns.len(), answer.rows.len()), (1, 0));
}

#[tokio::test]
async fn every_form_of_a_reading_statement_is_answered() {
    let (_database, reader) = door().await;
    assert_eq!(
        answer(&reader, "VALUES (1, 'a'), (2, 'b');").await,
        json!([[1, "a"], [2, "b"]])
    );
    assert_eq!(
        answer(&reader, "WITH s AS (SELECT 1 AS n) SELECT n FROM s -- done").await,
        json!([[1]])
    );
    assert_eq!(
        answer(&reader, "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 DESC").await,
        json!([[2], [1]])
    );
    assert_eq!(
        answer(&reader, "SHOW transaction_read_only").await,
        json!([["on"]])
    );
    assert_eq!(ask(&reader, "TABLE cin7.sale").await.unwrap().rows.len(), 3);
    let plan = answer(&reader, "EXPLAIN SELECT * FROM cin7.sale WHERE id = '1'").await;
    assert!(plan.to_string().contains("Scan"), "{plan}");
    let plan = answer(&reader, "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1").await;
    assert!(plan[0][0][0]["Plan"].is_object(), "{plan}");
}

#[tokio::test]
async fn a_place_without_a_value_is_told_and_not_taken_for_a_lost_connection() {
    let (_database, reader) = door().await;
    for params in [&[][..], &[json!("1")][..]] {
        let sql = "SELECT id FROM cin7.sale WHERE id = $1::text OR id = $2::text";
        let error = reader.query(sql, params, &Limits::default()).await;
        let error = error.unwrap_err();
        assert!(matches!(error, QueryError::Refused { .. }), "{error:?}");
    }
    let one = "SELECT id FROM cin7.sale WHERE id = $1::text";
    let error = reader
        .query(one, &[], &Limits::default())
        .await
        .unwrap_err();
    let QueryError::Refused { code, hint, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(code, "08P01");
    assert!(hint.as_deref().is_some_and(|hint| hint.contains("params")));
}

#[tokio::test]
async fn parameters_take_the_types_the_statement_gives_them() {
    let (_database, reader) = door().await;
    let sql = "SELECT id FROM cin7.sale WHERE (body->>'Total')::numeric > $1 AND id = ANY ($2) AND $3::text IS NULL";
    let params = [json!(1.5), json!("{2,3}"), json!(null)];
    let answer = reader
        .query(&format!("{sql} ORDER BY id"), &params, &Limits::default())
        .await;
    assert_eq!(rows(&answer.unwrap()), json!([["2"], ["3"]]));
    let hostile = json!("'); DROP TABLE cin7.sale; --\\");
    let answer = reader
        .query(
            "SELECT $1::text",
            std::slice::from_ref(&hostile),
            &Limits::default(),
        )
        .await;
    assert_eq!(rows(&answer.unwrap()), json!([[hostile]]));
    let document = json!({"a": [1, "b"]});
    let answer = reader
        .query(
            "SELECT $1::jsonb",
            std::slice::from_ref(&document),
            &Limits::default(),
        )
        .await;
    assert_eq!(rows(&answer.unwrap()), json!([[document]]));
    let too_few = reader
        .query("SELECT $1::int + $2::int", &[json!(1)], &Limits::default())
        .await;
    assert!(message(too_few).contains("wrong number of parameters"));
}

#[tokio::test]
async fn an_error_points_at_the_place_in_the_callers_own_text() {
    let (_database, reader) = door().await;
    let error = ask(&reader, "SELECT nosuch FROM cin7.sale")
        .await
        .unwrap_err();
    let QueryError::Refused {
        message,
        position,
        code,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (message.as_str(), position, code.as_str()),
        ("column \"nosuch\" does not exist", Some(8), "42703")
    );
    // Found only when wrapped: positions are moved back.
    let sql = "WITH gone AS (DELETE FROM cin7.sale RETURNING id) SELECT * FROM gone";
    let error = ask(&reader, sql).await.unwrap_err();
    let QueryError::Refused { position, hint, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(position, Some(6));
    assert!(hint.unwrap().contains("SELECT"));
}

#[tokio::test]
async fn nothing_that_writes_or_reaches_out_gets_through() {
    let (database, reader) = door().await;
    for sql in [
        "INSERT INTO cin7.sale DEFAULT VALUES",
        "UPDATE cin7.sale SET id = 'x'",
        "DELETE FROM cin7.sale",
        "TRUNCATE cin7.sale",
        "DROP TABLE cin7.sale",
        "CREATE TABLE t (n int)",
        "CREATE TEMP TABLE t (n int)",
        "SELECT 1 INTO t",
        "SELECT 1 INTO TEMP t",
        "WITH d AS (DELETE FROM cin7.sale RETURNING 1) SELECT * FROM d",
        "EXPLAIN ANALYZE DELETE FROM cin7.sale",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
        "SELECT * FROM cin7.sale FOR UPDATE",
        "SELECT 1; DELETE FROM cin7.sale",
        "COMMIT; DELETE FROM cin7.sale",
        "SELECT 1) AS q; DELETE FROM cin7.sale; --",
        "SELECT 1) AS q(c0) UNION SELECT id FROM (SELECT 'x' AS id",
        "SELECT 1 /*",
        &format!("SELECT '{}'", "x".repeat(2 << 20)),
        &"(".repeat(1 << 19),
        "SET transaction_read_only = off",
        "SET SESSION AUTHORIZATION millpond",
        "RESET ROLE",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT set_config('statement_timeout', '0', false)",
        "DO $$ BEGIN DELETE FROM cin7.sale; END $$",
        "CALL nothing()",
        "LISTEN x",
        "NOTIFY x",
        "VACUUM",
        "LOCK TABLE cin7.sale",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE p AS SELECT 1",
        "EXECUTE millpond_query(1)",
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/escaped'",
        "COPY cin7.sale TO STDOUT",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_ls_dir('/')",
        "SELECT lo_creat(-1)",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT query FROM pg_stat_activity",
        "SELECT * FROM pg_stat_get_activity(NULL)",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SELECT pg_cancel_backend(pg_backend_pid())",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_notify('x', 'y')",
        "SELECT query_to_xml('DELETE FROM cin7.sale', true, true, '')",
        "SELECT nextval('millpond.permit_seq')",
        "SELECT * FROM millpond.secret",
        "SELECT * FROM millpond.connection",
        "TABLE millpond.secret",
    ] {
        let refused = message(ask(&reader, sql).await);
        assert!(!refused.starts_with("answered"), "{sql}: {refused}");
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM cin7.sale")
        .fetch_one(&database.pool())
        .await
        .unwrap();
    assert_eq!(left, 3);
    assert_eq!(
        answer(&reader, "SELECT count(*) FROM cin7.sale").await,
        json!([[3]])
    );
}

#[tokio::test]
async fn the_role_alone_keeps_writes_and_secrets_out() {
    let (database, _reader) = door().await;
    let role = ensure_reader_role(&database.pool()).await.unwrap();
    let options = role.connect_options(&database.pool().connect_options());
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect_with(&options)
        .await
        .unwrap();
    for sql in [
        "SET default_transaction_read_only = off; DELETE FROM cin7.sale",
        "SET default_transaction_read_only = off; CREATE TABLE cin7.t (n int)",
        "SET ROLE millpond",
        "SET SESSION AUTHORIZATION millpond",
        "SELECT * FROM millpond.secret",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ] {
        let refused = sqlx::raw_sql(sql).execute(&mut connection).await;
        assert!(refused.is_err(), "{sql}");
    }
    assert!(!format!("{role:?}").contains("assword"));
}

#[tokio::test]
async fn a_query_ends_at_its_time_limit_and_the_door_stays_open() {
    let (_database, reader) = door().await;
    let limits = Limits {
        timeout: Duration::from_millis(300),
        cost_max: 0,
        ..Limits::default()
    };
    for sql in [
        "SELECT pg_sleep(600)",
        "SELECT count(*) FROM generate_series(1, 1000000000000)",
    ] {
        let started = Instant::now();
        let error = reader.query(sql, &[], &limits).await.unwrap_err();
        assert!(
            matches!(error, QueryError::TimedOut { .. }),
            "{sql}: {error:?}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{sql}: {:?}",
            started.elapsed()
        );
    }
    assert_eq!(answer(&reader, "SELECT 1").await, json!([[1]]));
}

#[tokio::test]
async fn what_the_planner_expects_to_cost_too_much_is_refused_before_it_begins() {
    let (_database, reader) = door().await;
    let cross = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    for sql in [
        cross.to_owned(),
        format!("EXPLAIN ANALYZE {cross}"),
        format!("EXPLAIN (VERBOSE, ANALYZE true, TIMING off) ({cross})"),
        format!("explain /* ( */ analyse verbose {cross}"),
    ] {
        let started = Instant::now();
        let error = ask(&reader, &sql).await.unwrap_err();
        let QueryError::TooCostly { cost, cost_max, .. } = error else {
            panic!("{sql}: {error:?}");
        };
        assert!(cost > cost_max as f64);
        // Run to its end it would take hours.
        assert!(started.elapsed() < DEADLINE, "{sql}");
    }
    // With values too, whose number decides.
    let counted = "SELECT count(*) FROM generate_series(1, $1::int) a, generate_series(1, $1) b";
    let with = async |n: i64| reader.query(counted, &[json!(n)], &Limits::default()).await;
    assert_eq!(rows(&with(10).await.unwrap()), json!([[100]]));
    let error = with(1_000_000).await.unwrap_err();
    assert!(matches!(error, QueryError::TooCostly { .. }), "{error:?}");
    // What would cost much but ends at the rows that are answered passes, and so does everything that only explains.
    let wide = "SELECT a FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    assert_eq!(ask(&reader, wide).await.unwrap().rows.len(), 10_000);
    assert!(ask(&reader, &format!("EXPLAIN {cross}")).await.is_ok());
    assert!(ask(&reader, "EXPLAIN ANALYZE SELECT 1").await.is_ok());
}

#[tokio::test]
async fn an_answer_tells_what_was_expected_where_that_is_asked() {
    let (_database, reader) = door().await;
    let limits = Limits {
        estimates: true,
        cost_max: 0,
        rows_max: 10,
        ..Limits::default()
    };
    let sql = "SELECT * FROM generate_series(1, 5000)";
    let told = reader.query(sql, &[], &limits).await.unwrap();
    let estimate = told.estimate.unwrap();
    assert_eq!(estimate.rows, 5000.0);
    assert!(estimate.cost > 0.0);
    assert_eq!(ask(&reader, sql).await.unwrap().estimate, None);
}

#[tokio::test]
async fn rows_bytes_and_values_are_cut_and_the_answer_says_so() {
    let (_database, reader) = door().await;
    let ask = async |sql: &str, limits: Limits| {
        let answer = reader.query(sql, &[], &limits).await.unwrap();
        let truncated = answer
            .truncated
            .map_or("whole".to_owned(), |why| format!("{why:?}"));
        (answer, truncated)
    };
    let three = Limits {
        rows_max: 3,
        ..Limits::default()
    };
    let (answer, why) = ask("SELECT generate_series(1, 1000000)", three.clone()).await;
    assert_eq!((answer.rows.len(), why.as_str()), (3, "Rows"));
    let (answer, why) = ask("SELECT generate_series(1, 3)", three).await;
    assert_eq!((answer.rows.len(), why.as_str()), (3, "whole"));

    let few_bytes = Limits {
        bytes_max: 10_000,
        ..Limits::default()
    };
    let (answer, why) = ask(
        "SELECT repeat('x', 1000) FROM generate_series(1, 5000)",
        few_bytes.clone(),
    )
    .await;
    assert_eq!((answer.rows.len(), why.as_str()), (9, "Bytes"));
    // One enormous value is bounded too, before it leaves the database.
    let (answer, why) = ask("SELECT repeat('x', 100000000)", few_bytes).await;
    assert!(answer.rows[0].get().len() < 25_000);
    assert_eq!(why, "Cells");

    let short = Limits {
        cell_chars_max: 5,
        ..Limits::default()
    };
    let (answer, why) = ask(
        "SELECT 'wörter', 123456.5::numeric, '{\"a\": 123}'::jsonb, 'short'",
        short,
    )
    .await;
    assert_eq!(
        answer.rows[0].get(),
        r#"["wörte…","12345…","{\"a\":…","short"]"#
    );
    assert_eq!(why, "Cells");
}

#[tokio::test]
async fn a_query_leaves_nothing_behind_for_the_next_on_its_connection() {
    let (_database, reader) = door().await;
    let before = answer(&reader, "SELECT pg_backend_pid()").await;
    assert_eq!(
        answer(&reader, "SELECT pg_backend_pid()").await,
        before,
        "the connection is kept"
    );
    assert_eq!(
        answer(
            &reader,
            "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'mill%'"
        )
        .await,
        json!([[0]])
    );
    reader
        .query("SELECT $1::int", &[json!(1)], &Limits::default())
        .await
        .unwrap();
    assert_eq!(
        answer(
            &reader,
            "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'mill%'"
        )
        .await,
        json!([[0]])
    );
    assert_eq!(
        answer(&reader, "SELECT pg_backend_pid()").await,
        before,
        "the connection is kept"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_query_with_it() {
    let (database, reader) = door().await;
    let running = async || -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name = 'millpond sql' AND state = 'active'",
        )
        .fetch_one(&database.pool())
        .await
        .unwrap()
    };
    let wait_for = async |wanted: i64| {
        let deadline = Instant::now() + DEADLINE;
        while running().await != wanted {
            assert!(Instant::now() < deadline, "never {wanted} running");
        }
    };
    let asking = tokio::spawn({
        let reader = reader.clone();
        async move {
            reader
                .query(
                    "SELECT pg_sleep(600)",
                    &[],
                    &Limits {
                        timeout: Duration::from_secs(600),
                        ..Limits::default()
                    },
                )
                .await
        }
    });
    wait_for(1).await;
    asking.abort();
    wait_for(0).await;
}

#[tokio::test]
async fn a_full_door_says_so_after_the_time_limit() {
    let (_database, reader) = door().await;
    let long = Limits {
        timeout: Duration::from_secs(600),
        ..Limits::default()
    };
    let short = Limits {
        timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let busy = async {
        loop {
            // The places are taken as soon as both queries below have been polled.
            match reader.query("SELECT 1", &[], &short).await {
                Err(QueryError::Busy { concurrent_max, .. }) => return concurrent_max,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::select! {
        biased;
        _ = reader.query("SELECT pg_sleep(600)", &[], &long) => panic!("slept"),
        _ = reader.query("SELECT pg_sleep(600)", &[], &long) => panic!("slept"),
        places = busy => assert_eq!(places, 2),
    }
    assert_eq!(answer(&reader, "SELECT 1").await, json!([[1]]));
}

#[tokio::test]
async fn a_connector_that_came_after_the_door_was_opened_can_be_read() {
    let (database, reader) = door().await;
    sqlx::raw_sql(
        "CREATE TABLE cin7.purchase PARTITION OF millpond.record FOR VALUES IN ('cin7.purchase');
         CREATE SCHEMA connectwise;
         CREATE TABLE connectwise.company PARTITION OF millpond.record FOR VALUES IN ('connectwise.company');
         CREATE VIEW connectwise.company_name AS SELECT body->>'name' AS name FROM connectwise.company",
    )
    .execute(&database.pool())
    .await
    .unwrap();
    for table in [
        "cin7.purchase",
        "connectwise.company",
        "connectwise.company_name",
    ] {
        assert_eq!(
            answer(&reader, &format!("SELECT count(*) FROM {table}")).await,
            json!([[0]])
        );
    }
}

#[tokio::test]
async fn an_owner_who_may_not_make_roles_learns_what_an_administrator_has_to_run() {
    let (database, _reader) = door().await;
    let admin = database.pool();
    let owner = format!("owner_of_{}", database.name());
    let reader_role = store::reader::role_of(database.name());
    for sql in [
        format!("DROP OWNED BY {reader_role}"),
        format!("DROP ROLE {reader_role}"),
        format!("CREATE ROLE {owner} LOGIN PASSWORD 'owner'"),
        format!("GRANT ALL ON SCHEMA millpond TO {owner}"),
        format!("GRANT ALL ON ALL TABLES IN SCHEMA millpond TO {owner} WITH GRANT OPTION"),
        format!("ALTER SCHEMA cin7 OWNER TO {owner}"),
        format!("ALTER SCHEMA millpond OWNER TO {owner}"),
        format!("ALTER TABLE cin7.sale OWNER TO {owner}"),
        "DELETE FROM millpond.secret".to_owned(),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&admin)
            .await
            .unwrap();
    }
    let options = admin
        .connect_options()
        .as_ref()
        .clone()
        .username(&owner)
        .password("owner");
    let pool = sqlx::postgres::PgPoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    let error = Reader::open(&pool, 1).await.unwrap_err();
    let RoleError::MayNotCreate { statements, .. } = error else {
        panic!("{error:?}")
    };

    // What psql's \gexec does with the first statement.
    let (make, rest) = statements.split_once("\\gexec").unwrap();
    let make: String = sqlx::query_scalar(sqlx::AssertSqlSafe(make.to_owned()))
        .fetch_one(&admin)
        .await
        .unwrap();
    for sql in [make.as_str(), rest] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&admin)
            .await
            .unwrap();
    }
    let reader = Reader::open(&pool, 1).await.unwrap();
    assert_eq!(
        answer(&reader, "SELECT count(*) FROM cin7.sale").await,
        json!([[3]])
    );
    pool.close().await;
    for sql in [
        format!("REASSIGN OWNED BY {owner} TO CURRENT_USER"),
        format!("DROP OWNED BY {owner} CASCADE"),
        format!("DROP ROLE {owner}"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&admin)
            .await
            .unwrap();
    }
}

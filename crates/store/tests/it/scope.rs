//! What tenants' statements see, whatever they try.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use serde_json::{Value, json};
use sqlx::Connection as _;
use store::{
    ResourceName, Store,
    read::Search,
    reader::{Limits, QueryError, Reader, Scope, ensure_tenant_role},
    resources::{ColumnKind, ViewColumn, ViewSpec},
    testing::TestDatabase,
};

/// Sales of two instances under the same ids, with history, changes and a view, and the door before them.
async fn door() -> (TestDatabase, Reader) {
    let database = TestDatabase::fresh().await;
    let store = Store::from_pool(database.pool());
    let sale: ResourceName = "cin7.sale".parse().unwrap();
    store.ensure_resource(&sale).await.unwrap();
    store.build_indexes(&sale, &[]).await.unwrap();
    let column = |name: &str| ViewColumn {
        name: name.to_lowercase(),
        level: 0,
        path: vec![name.to_owned()],
        kind: ColumnKind::Text,
        money: false,
    };
    let view = ViewSpec {
        name: "cin7.sale_flat".parse().unwrap(),
        of: sale,
        each: Vec::new(),
        currency: None,
        rate_date: None,
        indexed: Vec::new(),
        columns: vec![column("Owner")],
    };
    store.ensure_views(&[view]).await.unwrap();
    sqlx::raw_sql(
        r#"INSERT INTO millpond.instance (name, connector) VALUES ('own', 'cin7'), ('stranger-one', 'cin7');
        INSERT INTO millpond.record (resource, instance, id, body, hash, version, asked_at, changed_at)
        SELECT 'cin7.sale', i, n::text, jsonb_build_object('Owner', i, 'N', n), '', 1, now(), now()
          FROM generate_series(1, 3) n, unnest('{own,stranger-one}'::text[]) i;
        INSERT INTO millpond.record_version (resource, instance, id, version, body, hash, changed_at, ended_at)
        SELECT resource, instance, id, 0, body, '', now(), now() FROM millpond.record;
        INSERT INTO millpond.change (op, resource, instance, id, version)
        SELECT 'i', resource, instance, id, 1 FROM millpond.record;
        INSERT INTO millpond.watermark (resource, instance, as_of) SELECT DISTINCT resource, instance, now() FROM millpond.record;
        INSERT INTO millpond.snapshot (instance, resource, run) SELECT DISTINCT instance, resource, 1 FROM millpond.record;
        INSERT INTO millpond.run (instance, resource, kind, owner) SELECT DISTINCT instance, resource, 'full', 'me' FROM millpond.record;
        INSERT INTO millpond.tenant (id, title) VALUES ('stranger-tenant', 'Foreign');
        INSERT INTO millpond.rate VALUES ('2026-01-01', 'AUD', 'USD', 0.65);
        ANALYZE millpond.record; ANALYZE cin7.sale;"#,
    )
    .execute(&database.pool())
    .await
    .unwrap();
    let reader = Reader::open(&database.pool(), 2).await.unwrap();
    assert!(reader.tenants_locked_out().is_none());
    (database, reader)
}

async fn ask(reader: &Reader, instances: &[&str], sql: &str) -> Result<Value, QueryError> {
    let instances: Vec<String> = instances.iter().map(|&name| name.to_owned()).collect();
    let answer = reader
        .query_as(Scope::Instances(&instances), sql, &[], &Limits::default())
        .await?;
    Ok(serde_json::to_value(&answer.rows).unwrap())
}

#[tokio::test]
async fn a_tenant_sees_its_rows_in_tables_views_and_what_is_ours() {
    let (_database, reader) = door().await;
    for (table, own, all) in [
        ("cin7.sale", 3, 6),
        ("cin7.sale_flat", 3, 6),
        ("millpond.record", 3, 6),
        ("millpond.record_version", 3, 6),
        ("millpond.change", 3, 6),
        ("millpond.watermark", 1, 2),
        ("millpond.snapshot", 1, 2),
        ("millpond.run", 1, 2),
        ("millpond.instance", 1, 2),
        ("millpond.rate", 1, 1),
    ] {
        let count = format!("SELECT count(*) FROM {table}");
        for (instances, expected) in [
            (&["own"][..], own),
            (&["own", "stranger-one"], all),
            (&[], if table == "millpond.rate" { 1 } else { 0 }),
            (&["nowhere"], if table == "millpond.rate" { 1 } else { 0 }),
        ] {
            let counted = ask(&reader, instances, &count).await.unwrap();
            assert_eq!(counted, json!([[expected]]), "{table} for {instances:?}");
        }
        let operator = reader.query(&count, &[], &Limits::default()).await.unwrap();
        assert_eq!(operator.rows[0].get(), format!("[{all}]"), "{table}");
    }
}

#[tokio::test]
async fn no_statement_of_a_tenant_learns_of_another() {
    let (_database, reader) = door().await;
    for sql in [
        "SELECT * FROM cin7.sale",
        "SELECT * FROM cin7.sale WHERE instance = 'stranger-one'",
        "SELECT r FROM cin7.sale r",
        "SELECT * FROM cin7.sale UNION ALL SELECT * FROM millpond.record",
        "WITH RECURSIVE x AS (SELECT * FROM cin7.sale) SELECT * FROM x",
        "SELECT body @? '$.Owner ? (@ == \"stranger-one\")', body FROM cin7.sale",
        "SELECT * FROM cin7.sale WHERE body @> '{\"Owner\": \"stranger-one\"}' OR true",
        "SELECT * FROM cin7.sale_flat WHERE owner <> 'own' OR owner IS NULL OR true",
        "SELECT set_config('millpond.scope', '', true), * FROM cin7.sale",
        "SELECT current_setting('millpond.scope')",
        "SHOW millpond.scope",
        "SELECT * FROM pg_settings WHERE name LIKE 'millpond%'",
        "SELECT * FROM pg_stats WHERE schemaname IN ('cin7', 'millpond')",
        "SELECT * FROM pg_statistic",
        "SELECT relname, obj_description(oid) FROM pg_class",
        "SELECT * FROM information_schema.columns WHERE table_schema = 'millpond'",
        "SELECT * FROM pg_policies",
        "SELECT * FROM pg_stat_activity",
        "SELECT * FROM millpond.tenant",
        "SELECT * FROM millpond.tenant_instance",
        "SELECT * FROM millpond.api_key",
        "SELECT * FROM millpond.secret",
        "SELECT * FROM millpond.connection",
        "SELECT * FROM millpond.event",
        "SELECT millpond.visible_instances()",
        "SELECT row_security_active('cin7.sale')",
        "SELECT set_config('row_security', 'off', true)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM dblink('', 'SELECT * FROM cin7.sale') AS t (x text)",
        "SELECT lo_get(1)",
        "SELECT pg_advisory_lock(1)",
        "SELECT query_to_xml('SELECT * FROM cin7.sale', true, true, '')",
        "SELECT table_to_xml('cin7.sale', true, true, '')",
        "COPY cin7.sale TO STDOUT",
        "SET millpond.scope = ''",
        "SET ROLE postgres",
        "RESET ALL",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SELECT 1; SELECT * FROM cin7.sale",
        // A function that complains of what it is given, before the row's own turn to be hidden.
        "SELECT id FROM cin7.sale WHERE (body->>'Owner')::int > 0",
        "SELECT 1 / (CASE WHEN body->>'Owner' = 'stranger-one' THEN 0 ELSE 1 END) FROM cin7.sale",
        "SELECT ('x' || (body->>'Owner'))::numeric FROM cin7.sale WHERE instance <> 'own'",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM cin7.sale WHERE body->>'Owner' LIKE 's%'",
        "SELECT string_agg(body::text, ',') FROM millpond.record_version",
        "SELECT max(instance), min(instance) FROM millpond.change",
        "SELECT * FROM cin7.sale TABLESAMPLE SYSTEM (100)",
        "SELECT ctid, xmin, tableoid::regclass, * FROM cin7.sale",
        "SELECT * FROM ONLY cin7.sale",
        "SELECT has_table_privilege('millpond.secret', 'SELECT')",
        "SELECT * FROM pg_prepared_statements",
        "SELECT rolname FROM pg_roles",
    ] {
        let said = match ask(&reader, &["own"], sql).await {
            Ok(rows) => rows.to_string(),
            // What the statement itself says of others, an error may say again.
            Err(QueryError::Refused {
                message, detail, ..
            }) if !sql.contains("stranger") => format!("{message} {detail:?}"),
            Err(_) => String::new(),
        };
        let said = said.replace(sql, "");
        assert!(!said.contains("stranger"), "{sql}: {said}");
    }
}

#[tokio::test]
async fn the_role_alone_keeps_tenants_apart_even_without_a_doorman() {
    let (database, _reader) = door().await;
    let role = ensure_tenant_role(&database.pool()).await.unwrap();
    let options = role.connect_options(&database.pool().connect_options());
    let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
    let seen = async |connection: &mut sqlx::PgConnection| -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM cin7.sale")
            .fetch_one(connection)
            .await
            .unwrap()
    };
    assert_eq!(seen(&mut connection).await, 0, "without a claim");
    for forged in [
        "",
        "own",
        r#"["own"]"#,
        r#"0000000000000000000000000000000000000000000000000000000000000000 0 ["own"]"#,
    ] {
        sqlx::query("SELECT set_config('millpond.scope', $1, false)")
            .bind(forged)
            .execute(&mut connection)
            .await
            .unwrap();
        assert_eq!(seen(&mut connection).await, 0, "{forged}");
    }
    for sql in [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET row_security = off; SELECT * FROM cin7.sale",
        "SELECT * FROM millpond.secret",
        "SELECT * FROM millpond.tenant",
        "SET default_transaction_read_only = off; DELETE FROM cin7.sale",
        "SET default_transaction_read_only = off; ALTER TABLE cin7.sale DISABLE ROW LEVEL SECURITY",
        "SET default_transaction_read_only = off; CREATE VIEW cin7.mine AS SELECT 1",
        "COPY cin7.sale TO PROGRAM 'true'",
    ] {
        let refused = sqlx::raw_sql(sql).execute(&mut connection).await;
        assert!(refused.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_claim_holds_in_its_own_transaction_only() {
    let (database, reader) = door().await;
    let stolen = ask(
        &reader,
        &["stranger-one"],
        "SELECT current_setting('millpond.scope')",
    )
    .await
    .unwrap();
    let stolen = stolen[0][0].as_str().unwrap();
    let role = ensure_tenant_role(&database.pool()).await.unwrap();
    let options = role.connect_options(&database.pool().connect_options());
    let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
    sqlx::query("SELECT set_config('millpond.scope', $1, false)")
        .bind(stolen)
        .execute(&mut connection)
        .await
        .unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM cin7.sale")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(seen, 0);
    // The next statement on the same connection does not have it either.
    let left = ask(&reader, &[], "SELECT count(*) FROM cin7.sale").await;
    assert_eq!(left.unwrap(), json!([[0]]));
}

#[tokio::test]
async fn searches_by_criteria_and_json_path_are_hidden_from_and_keep_their_index() {
    let (database, reader) = door().await;
    let sale: ResourceName = "cin7.sale".parse().unwrap();
    let scope = ["own".to_owned()];
    let find = async |search: Search| {
        let page = reader
            .search_as(Scope::Instances(&scope), &search, &sale)
            .await
            .unwrap();
        let found: Vec<String> = page
            .records
            .iter()
            .map(|record| format!("{}/{}", record.instance, record.id))
            .collect();
        found.join(" ")
    };
    let all = || Search::all("cin7.sale".parse().unwrap());
    assert_eq!(find(all()).await, "own/1 own/2 own/3");
    let mut search = all();
    search.json_path = Some("$ ? (@.N >= 2)".to_owned());
    assert_eq!(find(search).await, "own/2 own/3");
    let mut search = all();
    search.contains = Some(json!({ "Owner": "stranger-one" }));
    assert_eq!(find(search).await, "");
    let mut search = all();
    search.instances = vec!["stranger-one".to_owned()];
    assert_eq!(find(search).await, "");

    let superuser: bool =
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&database.pool())
            .await
            .unwrap();
    if superuser {
        // Enough rows for an index to be worth it.
        sqlx::raw_sql(
            "INSERT INTO millpond.record (resource, instance, id, body, hash, version, asked_at, changed_at)
             SELECT 'cin7.sale', 'own', 'x' || n, jsonb_build_object('SKU', n), '', 1, now(), now()
               FROM generate_series(1, 20000) n;
             ANALYZE cin7.sale",
        )
        .execute(&database.pool())
        .await
        .unwrap();
        let sql = r#"EXPLAIN SELECT id FROM cin7.sale WHERE body @> '{"SKU": 77}'"#;
        let plan = ask(&reader, &["own"], sql).await.unwrap().to_string();
        assert!(plan.contains("sale_body"), "{plan}");
    }
}

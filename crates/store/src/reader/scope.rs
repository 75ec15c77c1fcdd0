//! What tenants' statements see: claims that only we can sign, and the policies that ask for them.

use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// Tables with rows of instances; the column that names the instance.
pub(super) const SCOPED: [(&str, &str); 12] = [
    ("change", "instance"),
    ("fetch_queue", "instance"),
    ("instance", "name"),
    ("job", "instance"),
    ("missing", "instance"),
    ("quarantine", "instance"),
    ("record", "instance"),
    ("record_fetch", "instance"),
    ("record_version", "instance"),
    ("run", "instance"),
    ("snapshot", "instance"),
    ("watermark", "instance"),
];

/// Functions behind the operators that our indexes answer. Row-level security lets only those reach an index that
/// cannot tell anything about rows that are not visible; these cannot: they raise no errors over a row's data.
const LEAKPROOF: [&str; 3] = [
    "jsonb_contains(jsonb, jsonb)",
    "jsonb_path_exists_opr(jsonb, jsonpath)",
    "jsonb_extract_path_text(jsonb, text[])",
];

/// Letters and digits of the key: more than 256 bits.
const KEY_CHARS: usize = 43;

/// Signs what a transaction may see.
#[derive(Clone)]
pub(super) struct Signer {
    key: String,
}

impl Signer {
    /// The database's own; made if there is none.
    pub async fn load(owner: &PgPool) -> Result<Self, sqlx::Error> {
        let fresh = Alphanumeric.sample_string(&mut rand::rng(), KEY_CHARS);
        let key = sqlx::query_scalar(
            "INSERT INTO millpond.secret (name, value) VALUES ('scope_key', $1)
             ON CONFLICT (name) DO UPDATE SET value = secret.value RETURNING value",
        )
        .bind(fresh)
        .fetch_one(owner)
        .await?;
        Ok(Self { key })
    }

    /// The claim that the transaction which began at `began_us`, in microseconds of the Unix epoch, sees `instances`.
    pub fn token(&self, began_us: i64, instances: &[String]) -> String {
        let claim = format!("{began_us} {}", serde_json::json!(instances));
        let inner = Sha256::new()
            .chain_update(self.key.as_bytes())
            .chain_update(b"inner")
            .chain_update(claim.as_bytes())
            .finalize();
        let outer = Sha256::new()
            .chain_update(self.key.as_bytes())
            .chain_update(b"outer")
            .chain_update(inner)
            .finalize();
        let mut token = hex::encode(outer);
        token.push(' ');
        token.push_str(&claim);
        token
    }
}

/// Lets a tenants' role read, each table only once its rows are told apart: connectors' tables, what is scoped of our
/// own, rates, and views that look with their reader's eyes. Writes nothing when nothing is missing.
pub(super) async fn grant(tx: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let names: Vec<&str> = SCOPED.iter().map(|(name, _)| *name).collect();
    let tables: Vec<(String, String, bool, bool, bool, bool)> = sqlx::query_as(
        "SELECT format('%I.%I', n.nspname, c.relname), \
                CASE WHEN n.nspname = 'millpond' AND c.relname = 'instance' THEN 'name' ELSE 'instance' END, \
                c.relrowsecurity, \
                EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'everyone'), \
                EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant' \
                          AND NOT p.polpermissive AND p.polroles = ARRAY[(SELECT oid FROM pg_roles WHERE rolname = $1)]), \
                has_table_privilege($1, c.oid, 'SELECT') \
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'millpond.record'::regclass) \
             OR (n.nspname = 'millpond' AND c.relname = ANY ($2)) ORDER BY 1",
    )
    .bind(role)
    .bind(&names)
    .fetch_all(&mut *tx)
    .await?;
    let role_name = format!("\"{}\"", role.replace('"', "\"\""));
    let mut statements = Vec::new();
    for (table, column, secured, everyone, scoped, granted) in &tables {
        if !everyone {
            statements.push(format!(
                "CREATE POLICY everyone ON {table} USING (true) WITH CHECK (true)"
            ));
        }
        if !scoped {
            statements.push(format!("DROP POLICY IF EXISTS tenant ON {table}"));
            statements.push(format!(
                "CREATE POLICY tenant ON {table} AS RESTRICTIVE FOR SELECT TO {role_name} \
                 USING ({column} = ANY ((SELECT millpond.visible_instances())::text[]))"
            ));
        }
        if !secured {
            statements.push(format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"));
        }
        if !granted {
            statements.push(format!("GRANT SELECT ON {table} TO {role_name}"));
        }
    }
    let others: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) \
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
          WHERE NOT has_table_privilege($1, c.oid, 'SELECT') AND ((n.nspname = 'millpond' AND c.relname = 'rate') \
             OR (c.relkind = 'v' AND c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on'] \
                 AND n.oid IN (SELECT k.relnamespace FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid \
                                WHERE i.inhparent = 'millpond.record'::regclass)))",
    )
    .bind(role)
    .fetch_all(&mut *tx)
    .await?;
    if !others.is_empty() {
        statements.push(format!(
            "GRANT SELECT ON {} TO {role_name}",
            others.join(", ")
        ));
    }
    let schemas: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(n.nspname) FROM pg_namespace n \
          WHERE NOT has_schema_privilege($1, n.oid, 'USAGE') AND (n.nspname = 'millpond' OR n.oid IN ( \
                SELECT c.relnamespace FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                 WHERE i.inhparent = 'millpond.record'::regclass))",
    )
    .bind(role)
    .fetch_all(&mut *tx)
    .await?;
    if !schemas.is_empty() {
        statements.push(format!(
            "GRANT USAGE ON SCHEMA {} TO {role_name}",
            schemas.join(", ")
        ));
    }
    for statement in statements {
        tx.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

/// Lets the operators that our indexes answer reach them under row-level security, where we may: that takes a
/// superuser. Elsewhere tenants' searches read every record of theirs.
pub(super) async fn allow_indexes(tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (superuser, done): (bool, bool) = sqlx::query_as(
        "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), \
                NOT EXISTS (SELECT FROM unnest($1::text[]) f \
                            WHERE NOT (SELECT proleakproof FROM pg_proc WHERE oid = ('pg_catalog.' || f)::regprocedure))",
    )
    .bind(&LEAKPROOF[..])
    .fetch_one(&mut *tx)
    .await?;
    if superuser && !done {
        for function in LEAKPROOF {
            let statement = format!("ALTER FUNCTION pg_catalog.{function} LEAKPROOF");
            tx.execute(AssertSqlSafe(statement)).await?;
        }
    }
    Ok(superuser || done)
}

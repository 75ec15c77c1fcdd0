-- Queries that somebody gave a name: a tenant's own, or (without a tenant) the operators'.
CREATE TABLE millpond.saved_query (
    tenant     text REFERENCES millpond.tenant (id) ON DELETE CASCADE,
    name       text NOT NULL,
    title      text NOT NULL,
    sql        text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX saved_query_name ON millpond.saved_query ((coalesce(tenant, '')), name);

-- Whose the instances are, and who may ask: tenants, their projects, and the keys of both.

CREATE TABLE millpond.tenant (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{0,62}$'),
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    plan       text NOT NULL DEFAULT 'standard' CHECK (plan ~ '^[a-z][a-z0-9-]{0,62}$'),
    cycle      text NOT NULL DEFAULT 'month' CHECK (cycle IN ('hour', 'day', 'month')),  -- how long a quota window is, in UTC
    limits     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),      -- meter: the most in one window
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- An instance has one owner or none.
CREATE TABLE millpond.tenant_instance (
    instance text PRIMARY KEY REFERENCES millpond.instance (name) ON DELETE CASCADE,
    tenant   text NOT NULL REFERENCES millpond.tenant (id) ON DELETE CASCADE
);
CREATE INDEX tenant_instance_tenant ON millpond.tenant_instance (tenant);

CREATE TABLE millpond.project (
    tenant     text NOT NULL REFERENCES millpond.tenant (id) ON DELETE CASCADE,
    id         text NOT NULL CHECK (id ~ '^[a-z][a-z0-9-]{0,62}$'),
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    instances  text[],                    -- of the tenant's, those it sees; NULL: all
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, id)
);

-- The credential itself is kept nowhere, only its keyed hash. Without a tenant a key is an operator's.
CREATE TABLE millpond.api_key (
    id              text PRIMARY KEY,     -- part of the credential, to recognise it by
    hash            bytea NOT NULL UNIQUE,
    tenant          text REFERENCES millpond.tenant (id) ON DELETE CASCADE,
    project         text,
    role            text NOT NULL CHECK (role IN ('user', 'developer', 'admin')),
    title           text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    calls_per_minute integer CHECK (calls_per_minute > 0),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    rotated_at      timestamptz,
    expires_at      timestamptz,
    revoked_at      timestamptz,
    FOREIGN KEY (tenant, project) REFERENCES millpond.project (tenant, id) ON DELETE CASCADE,
    CHECK (tenant IS NOT NULL OR (project IS NULL AND role = 'admin'))
);
CREATE INDEX api_key_tenant ON millpond.api_key (tenant, project);

-- What processes that remember principals, tenants and projects must forget. `seq` grows in the order of
-- commits: it is given under a lock that is held to the end of the transaction.
CREATE TABLE millpond.access_news (
    seq    bigint PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    family text NOT NULL CHECK (family IN ('principal', 'tenant', 'project')),
    tenant text,
    name   text NOT NULL                  -- hash of a credential in hex, id of a tenant or project
);
CREATE INDEX access_news_at ON millpond.access_news (at);

-- Processes that remember. Until its lease ends a process may answer from memory; whoever changes access waits
-- until every process has heard of it, or its lease has ended.
CREATE TABLE millpond.node (
    id          text PRIMARY KEY,
    heard       bigint NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION millpond.tell_access(of_family text, of_tenant text, names text[]) RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('millpond.access', 0));
    SELECT coalesce(max(seq), 0) INTO last FROM millpond.access_news;
    INSERT INTO millpond.access_news (seq, family, tenant, name)
    SELECT last + n, of_family, of_tenant, name FROM unnest(names) WITH ORDINALITY AS t (name, n);
    PERFORM pg_notify('millpond_access', '');
    RETURN last + cardinality(names);
END $$;

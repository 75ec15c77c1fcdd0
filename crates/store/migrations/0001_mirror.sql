-- The mirror: what upstream said, what changed, and what is still to be fetched.
-- Words are those of docs/GLOSSARY.md. Every unique key contains `instance`, so that the
-- tables can be distributed by it.

CREATE SCHEMA millpond;

-- One account of an upstream.
CREATE TABLE millpond.instance (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    connector  text NOT NULL,
    currency   text CHECK (currency ~ '^[A-Z]{3}$'),      -- of its own books
    reporting  text CHECK (reporting ~ '^[A-Z]{3}$'),     -- in which its money is reported
    paused     boolean NOT NULL DEFAULT false,
    added_at   timestamptz NOT NULL DEFAULT now()
);

-- Average rate of a month: one unit of `currency` in `reporting`. A month without a rate converts to NULL.
CREATE TABLE millpond.rate (
    month     date NOT NULL CHECK (extract(day FROM month) = 1),
    currency  text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reporting text NOT NULL CHECK (reporting ~ '^[A-Z]{3}$'),
    rate      numeric NOT NULL CHECK (rate > 0),
    PRIMARY KEY (month, currency, reporting)
);

-- One set of credentials into an instance. `secrets` holds references (env:NAME, file:PATH), never values.
CREATE TABLE millpond.connection (
    instance      text NOT NULL REFERENCES millpond.instance (name) ON DELETE CASCADE,
    name          text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    secrets       jsonb NOT NULL DEFAULT '{}',
    calls         integer CHECK (calls > 0),              -- calls in any window; NULL: no limit
    window_ms     bigint NOT NULL DEFAULT 60000 CHECK (window_ms > 0),
    share         real NOT NULL DEFAULT 1 CHECK (share > 0 AND share <= 1),
    learned       real NOT NULL DEFAULT 1 CHECK (learned > 0 AND learned <= 1),
    learned_at    timestamptz,
    enabled       boolean NOT NULL DEFAULT true,
    added_by      text NOT NULL DEFAULT 'config' CHECK (added_by IN ('config', 'command')),
    parked_until  timestamptz,
    parked_why    text,
    set_aside_at  timestamptz,                            -- answered 401/403
    set_aside_why text,
    probe_at      timestamptz,                            -- when one call may try it again
    refusals      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, name)
);

-- The budget: one row per call that a connection's window holds. A slot is free again one window
-- after its call ended, so no window ever holds more calls than slots, whoever took them.
-- Unlogged: calls are granted faster than a disk syncs. After a crash the rows are gone, and
-- millpond.budget_ready tells that from a new connection: the slots then start as spent.
CREATE UNLOGGED TABLE millpond.budget_slot (
    instance   text NOT NULL,
    connection text NOT NULL,
    slot       integer NOT NULL,
    free_at    timestamptz NOT NULL,
    class      smallint NOT NULL,
    permit     bigint NOT NULL,
    PRIMARY KEY (instance, connection, slot)
);
CREATE TABLE millpond.budget_ready (
    instance   text NOT NULL,
    connection text NOT NULL,
    PRIMARY KEY (instance, connection)
);
CREATE SEQUENCE millpond.permit_seq;

-- The records. Partitions, one per resource, are the tables that users query: cin7.sale.
CREATE TABLE millpond.record (
    resource    text NOT NULL,
    instance    text NOT NULL,
    id          text NOT NULL,
    body        jsonb NOT NULL,
    hash        bytea NOT NULL,
    version     bigint NOT NULL,
    upstream_at timestamptz,              -- upstream's own stamp of the last change
    asked_at    timestamptz NOT NULL,     -- when the call that brought this body began
    changed_at  timestamptz NOT NULL,     -- when this version came in
    run         bigint,                   -- the run that brought it
    deleted_at  timestamptz,
    PRIMARY KEY (resource, instance, id)
) PARTITION BY LIST (resource);

CREATE TABLE millpond.record_version (
    resource    text NOT NULL,
    instance    text NOT NULL,
    id          text NOT NULL,
    version     bigint NOT NULL,
    body        jsonb NOT NULL,
    hash        bytea NOT NULL,
    upstream_at timestamptz,
    changed_at  timestamptz NOT NULL,
    run         bigint,
    deleted_at  timestamptz,
    ended_at    timestamptz NOT NULL,
    PRIMARY KEY (resource, instance, id, version)
);
CREATE INDEX record_version_ended ON millpond.record_version (ended_at);

-- Every insert, update and delete. Readers page by (tx, seq) below the oldest open transaction.
CREATE TABLE millpond.change (
    seq      bigint GENERATED ALWAYS AS IDENTITY (CACHE 64),
    tx       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL DEFAULT now(),
    op       "char" NOT NULL CHECK (op IN ('i', 'u', 'd')),
    resource text NOT NULL,
    instance text NOT NULL,
    id       text NOT NULL,
    version  bigint NOT NULL
);
CREATE INDEX change_feed ON millpond.change (tx, seq);

-- When a record was fetched on its own; the wide row is not touched for it.
CREATE TABLE millpond.record_fetch (
    resource   text NOT NULL,
    instance   text NOT NULL,
    id         text NOT NULL,
    asked_at   timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    signature  bytea,                     -- hash of the parent's row that this fetch answered
    PRIMARY KEY (resource, instance, id)
) WITH (fillfactor = 80);

-- Up to when a resource's feed or listing is in.
CREATE TABLE millpond.watermark (
    resource text NOT NULL,
    instance text NOT NULL,
    as_of    timestamptz NOT NULL,
    run      bigint,
    PRIMARY KEY (resource, instance)
);

-- The to-do list of per-record fetches.
CREATE TABLE millpond.fetch_queue (
    resource     text NOT NULL,
    instance     text NOT NULL,
    id           text NOT NULL,
    class        smallint NOT NULL,
    due_at       timestamptz NOT NULL,
    order_at     timestamptz,             -- newest first within a class
    signature    bytea,
    generation   bigint NOT NULL DEFAULT 1,
    attempts     integer NOT NULL DEFAULT 0,
    enqueued_at  timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    last_error   text,
    PRIMARY KEY (resource, instance, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX fetch_queue_next ON millpond.fetch_queue (instance, class, order_at DESC NULLS LAST, id);

-- What PostgreSQL cannot hold, as received.
CREATE TABLE millpond.quarantine (
    resource text NOT NULL,
    instance text NOT NULL,
    id       text NOT NULL,               -- '' when the record had none
    hash     bytea NOT NULL,
    reason   text NOT NULL,
    body     bytea NOT NULL,
    run      bigint,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at  timestamptz NOT NULL DEFAULT now(),
    seen     bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (resource, instance, id, hash)
);

-- Records that whole listings did not show, until they are believed to be gone.
CREATE TABLE millpond.missing (
    resource text NOT NULL,
    instance text NOT NULL,
    id       text NOT NULL,
    since    timestamptz NOT NULL,
    listings integer NOT NULL DEFAULT 1,
    PRIMARY KEY (resource, instance, id)
);

-- What runs when. One row per job; the lease says who runs it now.
CREATE TABLE millpond.job (
    instance    text NOT NULL REFERENCES millpond.instance (name) ON DELETE CASCADE,
    resource    text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('changes', 'full', 'reconcile', 'sweep', 'watch', 'backfill')),
    every_ms    bigint NOT NULL CHECK (every_ms > 0),
    every_set   boolean NOT NULL DEFAULT false,   -- set by a person: configuration no longer moves it
    jitter_ms   bigint NOT NULL DEFAULT 0,
    quiet       text,                             -- HH:MM-HH:MM in UTC: no run starts then
    paused      boolean NOT NULL DEFAULT false,
    next_at     timestamptz NOT NULL DEFAULT now(),
    cursor      jsonb,                            -- between runs
    progress    jsonb,                            -- of the run that has not ended
    failures    integer NOT NULL DEFAULT 0,
    last_run    bigint,
    lease_owner text,
    lease_token bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    PRIMARY KEY (instance, resource, kind)
);

CREATE TABLE millpond.run (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    instance    text NOT NULL,
    resource    text NOT NULL,
    kind        text NOT NULL,
    owner       text NOT NULL,
    state       text NOT NULL DEFAULT 'running'
                CHECK (state IN ('running', 'done', 'partial', 'failed', 'stopped', 'lost')),
    why         text,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz,
    beat_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- its process was alive then
    pages       bigint NOT NULL DEFAULT 0,
    calls       bigint NOT NULL DEFAULT 0,
    seen        bigint NOT NULL DEFAULT 0,
    inserted    bigint NOT NULL DEFAULT 0,
    updated     bigint NOT NULL DEFAULT 0,
    deleted     bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    expected    bigint,                           -- upstream's own count, when it tells
    snapshot    bigint
);
CREATE UNIQUE INDEX run_id ON millpond.run (id, instance);
CREATE INDEX run_recent ON millpond.run (instance, resource, kind, id DESC);

-- Numbered points at which whole runs are in.
CREATE TABLE millpond.snapshot (
    number   bigint GENERATED ALWAYS AS IDENTITY,
    instance text NOT NULL,
    resource text NOT NULL,
    run      bigint NOT NULL,
    tx       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, instance)
);

-- Casts that answer NULL instead of stopping a query at the one odd record among a million.
CREATE FUNCTION millpond.as_numeric(value text) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN value ~ '^\s*[-+]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][-+]?\d{1,3})?\s*$' THEN value::numeric END;
CREATE FUNCTION millpond.as_integer(value text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN value ~ '^\s*[-+]?\d{1,18}\s*$' THEN value::bigint END;
CREATE FUNCTION millpond.as_boolean(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE lower(value) WHEN 'true' THEN true WHEN '1' THEN true WHEN 'false' THEN false WHEN '0' THEN false END;
CREATE FUNCTION millpond.as_date(value text) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN value ~ '^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])([T ].*)?$'
           OR value ~ '^(?!0000)\d{4}-(0[13-9]|1[0-2])-(29|30)([T ].*)?$'
           OR value ~ '^(?!0000)\d{4}-(0[13578]|1[02])-31([T ].*)?$'
           OR value ~ '^(?!0000)(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29([T ].*)?$'
         THEN make_date(substr(value, 1, 4)::int, substr(value, 6, 2)::int, substr(value, 9, 2)::int) END;
-- A stamp without a zone is UTC, as upstreams mean it.
CREATE FUNCTION millpond.as_timestamp(value text) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN millpond.as_date(value) IS NULL THEN NULL
         WHEN value ~ '^.{10}([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?)?$' THEN (value || 'Z')::timestamptz
         WHEN value ~ '^.{10}[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[-+](0\d|1[0-4])(:?[0-5]\d)?)$' THEN value::timestamptz END;

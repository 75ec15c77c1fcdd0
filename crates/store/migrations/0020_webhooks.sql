-- Who is told of changes over HTTP, and what became of it.
-- Nobody but the owner of the database reads these tables: row-level security is on, and no policy lets anybody in.

-- What is signed with is not kept: it is an HMAC of `id` and `secret_number` under a key in `millpond.secret`.
CREATE TABLE millpond.webhook (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant        text REFERENCES millpond.tenant (id) ON DELETE CASCADE,           -- NULL: the operators'
    owner         text NOT NULL GENERATED ALWAYS AS (coalesce(tenant, '')) STORED,  -- the same, to be compared
    project       text,
    name          text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
    url           text NOT NULL CHECK (length(url) <= 2000),
    resources     text[],                 -- NULL: all
    instances     text[],                 -- of those the scope sees; NULL: all
    secret_number integer NOT NULL DEFAULT 1,
    rotated_at    timestamptz,            -- for a while after this the former secret signs too
    enabled       boolean NOT NULL DEFAULT true,
    why           text,                   -- it was stopped by ourselves
    tx            xid8 NOT NULL,          -- all changes up to this place are in deliveries
    seq           bigint NOT NULL,
    missed_before timestamptz,            -- changes up to then were forgotten before they were in deliveries
    rests_until   timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_owner   text,
    lease_until   timestamptz,
    token         bigint NOT NULL DEFAULT 0,  -- tells a holder of the lease from an earlier one
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (owner, name),
    FOREIGN KEY (tenant, project) REFERENCES millpond.project (tenant, id) ON DELETE CASCADE,
    CHECK (tenant IS NOT NULL OR project IS NULL)
) WITH (fillfactor = 50);

CREATE TABLE millpond.webhook_delivery (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,   -- deliveries of a webhook go out in this order
    webhook      bigint NOT NULL REFERENCES millpond.webhook (id) ON DELETE CASCADE,
    id           text NOT NULL UNIQUE,    -- what the receiver knows it by
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead', 'withheld')),
    changes      jsonb,                   -- what is told; NULL once it was
    change_count integer NOT NULL,
    first_at     timestamptz NOT NULL,    -- when the first of them came in
    last_cursor  text NOT NULL,           -- where the last of them stands in the feed
    attempts     integer NOT NULL DEFAULT 0,
    status       integer,                 -- of the last answer
    error        text,                    -- of the last attempt that failed
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at     timestamptz,
    ended_at     timestamptz
);
CREATE INDEX webhook_delivery_of ON millpond.webhook_delivery (webhook, number);
CREATE INDEX webhook_delivery_open ON millpond.webhook_delivery (webhook, state, number) WHERE state IN ('pending', 'dead');

ALTER TABLE millpond.webhook ENABLE ROW LEVEL SECURITY;
ALTER TABLE millpond.webhook_delivery ENABLE ROW LEVEL SECURITY;

-- Order workflows: plans, who holds which units, and what is to be written upstream.

-- Grows whenever claims of an instance change, so that a plan made from older ones is not stored.
CREATE TABLE millpond.order_ledger (
    instance text PRIMARY KEY REFERENCES millpond.instance (name) ON DELETE CASCADE,
    version  bigint NOT NULL DEFAULT 0
);

-- Units of one lot or expected receipt, and how many of them are claimed.
CREATE TABLE millpond.order_node (
    instance text NOT NULL REFERENCES millpond.instance (name) ON DELETE CASCADE,
    node     text NOT NULL,
    sku      text NOT NULL,
    free     bigint NOT NULL CHECK (free >= 0),        -- in the smallest step of its SKU
    claimed  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, node),
    -- Nothing is promised twice, whoever promises it.
    CONSTRAINT order_node_holds_its_claims CHECK (claimed >= 0 AND claimed <= free)
);

CREATE TABLE millpond.order_plan (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    instance    text NOT NULL REFERENCES millpond.instance (name) ON DELETE CASCADE,
    op          text NOT NULL CHECK (op IN ('split', 'allocate', 'pick', 'fill', 'cross')),
    state       text NOT NULL DEFAULT 'proposed' CHECK (state IN
                ('proposed', 'approved', 'applying', 'done', 'partial', 'needs_person', 'cancelled', 'superseded')),
    ask         json NOT NULL,
    input       json NOT NULL,
    plan        json NOT NULL,
    documents   json NOT NULL,
    summary     jsonb NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by     text NOT NULL,
    approved_at timestamptz,
    approved_by text,
    ended_at    timestamptz,
    why         text,
    owner       text,
    token       bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    PRIMARY KEY (id, instance)
);
CREATE INDEX order_plan_recent ON millpond.order_plan (instance, id DESC);
CREATE INDEX order_plan_open ON millpond.order_plan (instance, state)
    WHERE state IN ('proposed', 'approved', 'applying');

-- A quantity of one node held for one order.
CREATE TABLE millpond.allocation (
    instance  text NOT NULL,
    id        text NOT NULL,
    order_ref text NOT NULL,
    line      text,
    node      text NOT NULL,
    qty       bigint NOT NULL CHECK (qty > 0),
    strength  text NOT NULL CHECK (strength IN ('soft', 'hard')),
    made      date NOT NULL,
    expires   date,
    made_by   text NOT NULL,                           -- 'plan', 'upstream', or a person
    reason    text NOT NULL DEFAULT '',
    plan      bigint,
    added_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (instance, id),
    FOREIGN KEY (instance, node) REFERENCES millpond.order_node (instance, node)
);
CREATE INDEX allocation_node ON millpond.allocation (instance, node);
CREATE INDEX allocation_plan ON millpond.allocation (instance, plan) WHERE plan IS NOT NULL;

-- How claims ended: who took or gave back how much, and why.
CREATE TABLE millpond.allocation_end (
    number    bigint GENERATED ALWAYS AS IDENTITY,
    instance  text NOT NULL,
    id        text NOT NULL,
    order_ref text NOT NULL,
    line      text,
    node      text NOT NULL,
    qty       bigint NOT NULL,
    strength  text NOT NULL,
    ended_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_by  text NOT NULL,
    why       text NOT NULL,
    PRIMARY KEY (number, instance)
);

-- The counters move with the rows in the same statement: no writer can forget them.
CREATE FUNCTION millpond.count_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE millpond.order_node n SET claimed = n.claimed + a.qty
        FROM (SELECT instance, node, sum(qty) AS qty FROM added GROUP BY 1, 2) a
        WHERE n.instance = a.instance AND n.node = a.node;
    ELSE
        UPDATE millpond.order_node n SET claimed = n.claimed - a.qty
        FROM (SELECT instance, node, sum(qty) AS qty FROM gone GROUP BY 1, 2) a
        WHERE n.instance = a.instance AND n.node = a.node;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER allocation_added AFTER INSERT ON millpond.allocation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION millpond.count_claims();
CREATE TRIGGER allocation_gone AFTER DELETE ON millpond.allocation
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION millpond.count_claims();
-- What is held does not change: it ends, and something else begins. Strength and plan may change.
CREATE FUNCTION millpond.claims_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.qty <> OLD.qty OR NEW.node <> OLD.node OR NEW.instance <> OLD.instance THEN
        RAISE EXCEPTION 'quantity and node of a claim do not change' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER allocation_stays BEFORE UPDATE ON millpond.allocation
    FOR EACH ROW EXECUTE FUNCTION millpond.claims_stay();

-- What is to be written upstream: one row per write, committed before the call.
CREATE TABLE millpond.order_intent (
    instance   text NOT NULL,
    key        text NOT NULL,                          -- upstream sees it where a document can carry it
    plan       bigint NOT NULL,
    shipment   integer NOT NULL,
    step       integer NOT NULL,
    kind       text NOT NULL,
    state      text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'sent', 'done', 'refused', 'in_doubt', 'undone')),
    work       json NOT NULL,                          -- what is written
    outcome    json,                                   -- what upstream answered, as far as later steps need it
    why        text,
    attempts   integer NOT NULL DEFAULT 0,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at    timestamptz,
    ended_at   timestamptz,
    PRIMARY KEY (instance, key),
    UNIQUE (instance, plan, shipment, step)
);

-- How each shipment of a plan stands, once its apply has begun.
CREATE TABLE millpond.order_shipment (
    instance text NOT NULL,
    plan     bigint NOT NULL,
    shipment integer NOT NULL,
    state    text NOT NULL CHECK (state IN ('open', 'done', 'dropped', 'needs_person')),
    code     text,                                     -- of the specification's reasons
    why      text,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (instance, plan, shipment)
);

-- Up to where the backorder job has read the feed of changes.
CREATE TABLE millpond.order_watch (
    instance text PRIMARY KEY REFERENCES millpond.instance (name) ON DELETE CASCADE,
    cursor   text NOT NULL
);

-- What people and agents keep beside the records, and what of the records can be recalled by meaning.
-- Nobody but the owner of the database reads these tables: row-level security is on, and no policy lets anybody in.

CREATE TABLE millpond.memory (
    id         text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    tenant     text REFERENCES millpond.tenant (id) ON DELETE CASCADE,           -- NULL: the operators'
    owner      text NOT NULL GENERATED ALWAYS AS (coalesce(tenant, '')) STORED,  -- the same, to be compared
    project    text,
    "user"     text NOT NULL DEFAULT '',                                         -- '': everybody who sees the project
    text       text NOT NULL,
    tags       text[] NOT NULL DEFAULT '{}',
    tier       text NOT NULL DEFAULT 'hot' CHECK (tier IN ('hot', 'warm', 'cold')),
    session    text,
    metadata   jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    resource   text,                      -- the record that it is about
    instance   text,
    record     text,
    words      tsvector NOT NULL,
    embedder   text,                      -- who made the vector; NULL: it is still to be made
    vector     real[],
    sketch     bit varying,               -- of the vector: finds the nearest before they are compared
    tried_at   timestamptz,               -- when a vector was last asked for in vain
    added_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (tenant, project) REFERENCES millpond.project (tenant, id) ON DELETE CASCADE,
    CHECK (num_nulls(resource, instance, record) IN (0, 3)),
    CHECK (num_nulls(embedder, vector, sketch) IN (0, 3))
);
CREATE INDEX memory_owner ON millpond.memory (owner, "user");
CREATE INDEX memory_project ON millpond.memory (tenant, project);
CREATE INDEX memory_words ON millpond.memory USING gin (words);
CREATE INDEX memory_embedder ON millpond.memory (embedder, tried_at);

-- Grows with every write to what a user of a tenant may recall, in the transaction that makes the write visible: an
-- answer that is kept under a generation is never the answer to a question asked after the write was acknowledged.
CREATE TABLE millpond.memory_generation (
    owner      text NOT NULL,
    "user"     text NOT NULL,
    generation bigint NOT NULL,
    PRIMARY KEY (owner, "user")
) WITH (fillfactor = 50);

CREATE FUNCTION millpond.raise_memory_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO millpond.memory_generation AS g (owner, "user", generation)
    SELECT DISTINCT t.owner, t."user", 1 FROM touched t ORDER BY 1, 2
    ON CONFLICT (owner, "user") DO UPDATE SET generation = g.generation + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER memory_added AFTER INSERT ON millpond.memory REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION millpond.raise_memory_generation();
CREATE TRIGGER memory_changed AFTER UPDATE ON millpond.memory REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION millpond.raise_memory_generation();
CREATE TRIGGER memory_deleted AFTER DELETE ON millpond.memory REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION millpond.raise_memory_generation();

-- Texts of records, as configuration says which.
CREATE TABLE millpond.recall (
    resource text NOT NULL,
    instance text NOT NULL REFERENCES millpond.instance (name) ON DELETE CASCADE,
    id       text NOT NULL,
    version  bigint NOT NULL,             -- of the record whose text this is
    text     text NOT NULL,
    words    tsvector NOT NULL,
    embedder text,
    vector   real[],
    sketch   bit varying,
    tried_at timestamptz,
    PRIMARY KEY (resource, instance, id),
    CHECK (num_nulls(embedder, vector, sketch) IN (0, 3))
);
CREATE INDEX recall_words ON millpond.recall USING gin (words);
CREATE INDEX recall_embedder ON millpond.recall (embedder, tried_at);

-- How far the changes of a resource are in.
CREATE TABLE millpond.recall_place (
    resource   text PRIMARY KEY,
    shape      text NOT NULL,             -- the fields that the texts are made of
    cursor     text NOT NULL,             -- in the feed of changes
    generation bigint NOT NULL DEFAULT 0, -- grows with every change of a text or vector
    as_of      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION millpond.raise_recall_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE millpond.recall_place SET generation = generation + 1
     WHERE resource IN (SELECT t.resource FROM touched t);
    RETURN NULL;
END $$;
CREATE TRIGGER recall_added AFTER INSERT ON millpond.recall REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION millpond.raise_recall_generation();
CREATE TRIGGER recall_changed AFTER UPDATE ON millpond.recall REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION millpond.raise_recall_generation();
CREATE TRIGGER recall_deleted AFTER DELETE ON millpond.recall REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION millpond.raise_recall_generation();

ALTER TABLE millpond.memory ENABLE ROW LEVEL SECURITY;
ALTER TABLE millpond.memory_generation ENABLE ROW LEVEL SECURITY;
ALTER TABLE millpond.recall ENABLE ROW LEVEL SECURITY;
ALTER TABLE millpond.recall_place ENABLE ROW LEVEL SECURITY;

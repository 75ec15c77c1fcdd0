-- What tenants have used, exactly: counted up in one statement that also looks at the limit. Never cached.
CREATE TABLE millpond.usage (
    tenant       text NOT NULL REFERENCES millpond.tenant (id) ON DELETE CASCADE,
    meter        text NOT NULL,
    window_start timestamptz NOT NULL,
    used         bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (tenant, meter, window_start)
) WITH (fillfactor = 50);

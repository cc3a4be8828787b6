-- The epoch of the shared cache: an entry in Redis counts only under the epoch, and on the server, that stand here.
CREATE TABLE cache_epochs (
    id integer CONSTRAINT cache_epochs_pkey PRIMARY KEY CONSTRAINT cache_epochs_one_row CHECK (id = 1),
    epoch uuid NOT NULL,
    -- The run_id of the Redis it belongs to.
    server_id text,
    raise_time timestamptz NOT NULL
);
COMMENT ON TABLE cache_epochs IS 'The epoch of the shared cache, one row';

INSERT INTO cache_epochs (id, epoch, raise_time) VALUES (1, gen_random_uuid(), now() - interval '1 hour');

-- Deletions that a committed change owes to the cache. Whoever made the change pays at once; if its process died
-- before it could, another pays within seconds.
CREATE TABLE cache_debts (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT cache_debts_pkey PRIMARY KEY,
    key text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cache_debts IS 'Deletions owed to the shared cache';

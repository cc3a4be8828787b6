-- Which master keys have made what lies here and what users hold, and until when: what the operator is told before a
-- former one is taken away. The ids are derived from the keys and tell nothing about them.
CREATE TABLE master_keys (
    key_id bytea CONSTRAINT master_keys_pkey PRIMARY KEY,
    last_use_time timestamptz NOT NULL,
    CONSTRAINT master_keys_id_length CHECK (octet_length(key_id) = 8)
);
COMMENT ON TABLE master_keys IS 'When each master key last made something';

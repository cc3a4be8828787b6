-- The life of a signing key: PUBLISHED while everybody learns it and nothing is signed with it, SIGNING, RETIRING until
-- the last token that it signed has expired, REMOVED while the row still tells what was. The times say when each began.
ALTER TABLE signing_keys
ADD COLUMN sign_time timestamptz,
ADD COLUMN retire_time timestamptz,
ADD COLUMN remove_time timestamptz,
-- Null where the rule below says so.
-- squawk-ignore ban-drop-not-null
ALTER COLUMN private_key_sealed DROP NOT NULL,
DROP CONSTRAINT signing_keys_state_known,
ADD CONSTRAINT signing_keys_state_known CHECK (state IN ('PUBLISHED', 'SIGNING', 'RETIRING', 'REMOVED')) NOT VALID,
-- The private half is erased as soon as nothing more is signed with it.
ADD CONSTRAINT signing_keys_private_half_until_retired
CHECK ((private_key_sealed IS NOT NULL) = (state IN ('PUBLISHED', 'SIGNING'))) NOT VALID;

UPDATE signing_keys SET sign_time = create_time WHERE state = 'SIGNING';

-- One key waits its turn. The table has a handful of rows, so nobody waits for the index.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX signing_keys_one_published ON signing_keys (state) WHERE state = 'PUBLISHED';

-- Counts the changes of the key set, so that whoever holds a copy of it asks for one number; changes of the set wait for
-- each other by locking its row.
CREATE TABLE signing_key_sets (
    id integer CONSTRAINT signing_key_sets_pkey PRIMARY KEY CONSTRAINT signing_key_sets_one_row CHECK (id = 1),
    changes bigint NOT NULL
);
COMMENT ON TABLE signing_key_sets IS 'How often the set of signing keys has changed, one row';

INSERT INTO signing_key_sets (id, changes) VALUES (1, 1);

CREATE FUNCTION count_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE signing_key_sets SET changes = changes + 1 WHERE id = 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER signing_keys_counted AFTER INSERT OR UPDATE OR DELETE ON signing_keys FOR EACH STATEMENT
EXECUTE FUNCTION count_key_change();

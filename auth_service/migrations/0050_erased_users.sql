-- Who is no more, for services that keep something of theirs: an id and a moment, kept for good. A trigger writes it
-- down, so that no way of deleting a row can forget to. The lock is held to the commit, so that moments become visible in
-- their order: who has seen one has seen all before it. A clock that goes back gives no earlier moment.
CREATE TABLE erased_users (
    erase_time timestamptz CONSTRAINT erased_users_pkey PRIMARY KEY,
    user_id uuid NOT NULL
);
COMMENT ON TABLE erased_users IS 'Users who were erased, in the order in which they were';

CREATE FUNCTION note_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('erased_users'));
    INSERT INTO erased_users (erase_time, user_id)
    SELECT greatest(clock_timestamp(), max(erase_time) + interval '1 microsecond'), OLD.id FROM erased_users;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_erased AFTER DELETE ON users FOR EACH ROW
EXECUTE FUNCTION note_erasure();

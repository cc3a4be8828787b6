-- What those who check access tokens themselves have to be told: that a session ended before its time, or that it or
-- its user is no longer what the tokens say. Triggers write it down, so that no way of changing a row can forget to;
-- they also notify, and the notification leaves with the commit. A row matters for as long as an access token that was
-- made before it can live, and is removed afterwards.
CREATE TABLE revocations (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT revocations_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT revocations_kind_known
        CHECK (kind IN ('SESSION_ENDED', 'SESSION_CHANGED', 'USER_CHANGED')),
    -- The session, or the user.
    subject_id uuid NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE revocations IS 'What ended or changed while access tokens said otherwise';

-- The kind of the revocation is the trigger's argument.
CREATE FUNCTION note_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revocations (kind, subject_id) VALUES (TG_ARGV[0], OLD.id);
    PERFORM pg_notify('parley_revocations', TG_ARGV[0] || ' ' || OLD.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER sessions_revoked AFTER UPDATE ON sessions FOR EACH ROW
WHEN (OLD.revoke_time IS NULL AND NEW.revoke_time IS NOT NULL)
EXECUTE FUNCTION note_revocation('SESSION_ENDED');

CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions FOR EACH ROW
WHEN (OLD.revoke_time IS NULL AND OLD.expire_time > now())
EXECUTE FUNCTION note_revocation('SESSION_ENDED');

-- Less than its tokens say: a nearer end, other scopes, a weaker authentication.
CREATE TRIGGER sessions_curbed AFTER UPDATE ON sessions FOR EACH ROW
WHEN (
    NEW.revoke_time IS NULL
    AND (NEW.expire_time < OLD.expire_time OR NEW.scopes <> OLD.scopes OR NEW.assurance < OLD.assurance)
)
EXECUTE FUNCTION note_revocation('SESSION_CHANGED');

CREATE TRIGGER users_changed AFTER UPDATE ON users FOR EACH ROW
WHEN (NEW.state <> OLD.state OR NEW.roles <> OLD.roles)
EXECUTE FUNCTION note_revocation('USER_CHANGED');

CREATE TRIGGER users_deleted AFTER DELETE ON users FOR EACH ROW
EXECUTE FUNCTION note_revocation('USER_CHANGED');

-- The set of public keys is read anew by whoever hears of it; a row would tell nothing more.
CREATE FUNCTION note_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_revocations', 'KEYS_CHANGED');
    RETURN NULL;
END
$$;

CREATE TRIGGER signing_keys_changed AFTER INSERT OR UPDATE OR DELETE ON signing_keys FOR EACH STATEMENT
EXECUTE FUNCTION note_key_change();

-- What an API key or a client secret has beside its session, which is all the rest: name, scopes, digest, end.
CREATE TABLE machine_credentials (
    session_id uuid CONSTRAINT machine_credentials_pkey PRIMARY KEY
        CONSTRAINT machine_credentials_session REFERENCES sessions (id) ON DELETE CASCADE,
    -- The session's user, so that a user's credentials are found without reading their sign-ins.
    user_id uuid NOT NULL,
    -- The client's name for the request that made it, so that a repeat of it gets the first answer.
    request_id text CONSTRAINT machine_credentials_request_id_length CHECK (char_length(request_id) <= 64),
    -- The credential whose place it takes; null for a first one. That one may be gone already.
    replaces_id uuid,
    -- About when it was last used: written in the background, at most once a minute.
    last_use_time timestamptz
);
COMMENT ON TABLE machine_credentials IS 'API keys and client secrets, beside their sessions';

-- Room on each page for the next version of a row: a use changes no indexed column, so it stays on its page (HOT).
ALTER TABLE machine_credentials SET (fillfactor = 70);

-- A user's credentials, the newest first: ids are in order of time.
CREATE INDEX machine_credentials_user_id ON machine_credentials (user_id, session_id DESC);

-- The credential that a repeated request has made before.
CREATE UNIQUE INDEX machine_credentials_request ON machine_credentials (user_id, request_id)
WHERE request_id IS NOT NULL;

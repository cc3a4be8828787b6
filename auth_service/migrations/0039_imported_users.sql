-- Where accounts came from: the rows of other systems that became accounts here, so that a row sent again is known.
CREATE TABLE imported_users (
    -- The system, and its name for the account, as the import gave them.
    source text NOT NULL CONSTRAINT imported_users_source_length CHECK (char_length(source) BETWEEN 1 AND 64),
    external_id text NOT NULL
        CONSTRAINT imported_users_external_id_length CHECK (char_length(external_id) BETWEEN 1 AND 255),
    user_id uuid NOT NULL CONSTRAINT imported_users_user REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the row as it was imported, whatever its user has changed since.
    content_digest bytea NOT NULL
        CONSTRAINT imported_users_digest_length CHECK (octet_length(content_digest) = 32),
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT imported_users_pkey PRIMARY KEY (source, external_id)
);
COMMENT ON TABLE imported_users IS 'Rows of other systems that became accounts';

-- The end of an account takes its rows along.
CREATE INDEX imported_users_user_id ON imported_users (user_id);

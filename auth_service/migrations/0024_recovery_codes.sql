-- Codes on paper in place of a second factor, each good once: the row goes when its code is used.
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL CONSTRAINT recovery_codes_user REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the user's id and the code, which has 100 random bits: nobody can search for it.
    code_digest bytea NOT NULL CONSTRAINT recovery_codes_digest_length CHECK (octet_length(code_digest) = 32),
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_digest)
);
COMMENT ON TABLE recovery_codes IS 'Recovery codes that have not been used';

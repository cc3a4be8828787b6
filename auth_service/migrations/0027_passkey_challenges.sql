-- What authenticators were asked to sign, for minutes. A row goes when its answer comes.
CREATE TABLE passkey_challenges (
    -- SHA-256 of the challenge.
    digest bytea CONSTRAINT passkey_challenges_pkey PRIMARY KEY
        CONSTRAINT passkey_challenges_digest_length CHECK (octet_length(digest) = 32),
    purpose text NOT NULL
        CONSTRAINT passkey_challenges_purpose_known CHECK (purpose IN ('REGISTRATION', 'LOG_IN', 'PROOF')),
    -- Who asked; null for a log-in.
    user_id uuid CONSTRAINT passkey_challenges_user REFERENCES users (id) ON DELETE CASCADE,
    -- Whose passkey it must be, where a log-in said so, and whether anybody has that address or not.
    email text,
    expire_time timestamptz NOT NULL,
    CONSTRAINT passkey_challenges_user_unless_log_in CHECK ((user_id IS NULL) = (purpose = 'LOG_IN'))
);
COMMENT ON TABLE passkey_challenges IS 'What authenticators were asked to sign';

-- The end of an account.
CREATE INDEX passkey_challenges_user_id ON passkey_challenges (user_id);

-- Clean-up.
CREATE INDEX passkey_challenges_expire ON passkey_challenges (expire_time);

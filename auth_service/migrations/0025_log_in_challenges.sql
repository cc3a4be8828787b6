-- Log-ins that lack their second factor, for minutes. A row goes when it is exchanged for a session.
CREATE TABLE log_in_challenges (
    id uuid CONSTRAINT log_in_challenges_pkey PRIMARY KEY,
    -- SHA-256 of the secret half of the token: never the token itself.
    secret_digest bytea NOT NULL CONSTRAINT log_in_challenges_digest_length CHECK (octet_length(secret_digest) = 32),
    user_id uuid NOT NULL CONSTRAINT log_in_challenges_user REFERENCES users (id) ON DELETE CASCADE,
    -- When the account's password was chosen, as it was then: with another one the challenge is void.
    password_change_time timestamptz,
    -- What the user has proven, by the names of RFC 8176.
    auth_methods text[] NOT NULL,
    device_label text NOT NULL CONSTRAINT log_in_challenges_device_label_length CHECK (char_length(device_label) <= 100),
    -- Counted down before each check, so that no burst gets more of them.
    attempts_left smallint NOT NULL CONSTRAINT log_in_challenges_attempts CHECK (attempts_left >= 0),
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL
);
COMMENT ON TABLE log_in_challenges IS 'Log-ins that lack their second factor';

-- What voids an account's challenges, and the end of the account.
CREATE INDEX log_in_challenges_user_id ON log_in_challenges (user_id);

-- Clean-up.
CREATE INDEX log_in_challenges_expire ON log_in_challenges (expire_time);

-- A session is one sign-in of a user on a device. It ends at its expire_time, or earlier at its revoke_time.
CREATE TABLE sessions (
    id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT sessions_user REFERENCES users (id) ON DELETE CASCADE,
    device_label text NOT NULL CONSTRAINT sessions_device_label_length CHECK (char_length(device_label) <= 100),
    user_agent text NOT NULL CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) <= 256),
    address text NOT NULL CONSTRAINT sessions_address_length CHECK (char_length(address) <= 45),
    -- How the user proved who they are, by the names of RFC 8176.
    auth_methods text[] NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    -- The absolute end (ASVS 7.3.2); no refresh moves it.
    expire_time timestamptz NOT NULL,
    revoke_time timestamptz,
    revoke_reason text CONSTRAINT sessions_revoke_reason_known
        CHECK (revoke_reason IN ('LOG_OUT', 'REVOKED', 'REFRESH_TOKEN_REUSED')),
    CONSTRAINT sessions_revoked_with_reason CHECK ((revoke_time IS NULL) = (revoke_reason IS NULL))
);
COMMENT ON TABLE sessions IS 'Sign-ins of users on devices';

-- A user's sessions, newest first: ids are in order of time.
CREATE INDEX idx_sessions_user_id ON sessions (user_id, id DESC);

-- A user's active sessions. All live equally long, so the last to expire is the newest.
CREATE INDEX idx_sessions_user_active ON sessions (user_id, expire_time DESC, id DESC) WHERE revoke_time IS NULL;

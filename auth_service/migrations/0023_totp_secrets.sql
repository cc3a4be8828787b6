-- Authenticator apps (RFC 6238), one an account. The secret is sealed under the master key (AES-256-GCM, with the user's
-- id as context).
CREATE TABLE totp_secrets (
    user_id uuid CONSTRAINT totp_secrets_pkey PRIMARY KEY
        CONSTRAINT totp_secrets_user REFERENCES users (id) ON DELETE CASCADE,
    -- The app in use, and since when; null until the first one is confirmed.
    secret_sealed bytea,
    confirm_time timestamptz,
    -- The newest time step whose code was accepted. No code of it or of an earlier one is accepted again.
    last_step bigint NOT NULL DEFAULT 0,
    -- The app that is being enrolled, and until when it can be confirmed.
    pending_sealed bytea,
    pending_expire_time timestamptz,
    CONSTRAINT totp_secrets_in_use_since CHECK ((secret_sealed IS NULL) = (confirm_time IS NULL)),
    CONSTRAINT totp_secrets_pending_until CHECK ((pending_sealed IS NULL) = (pending_expire_time IS NULL))
);
COMMENT ON TABLE totp_secrets IS 'Authenticator apps';

-- Which key of ours sealed a secret: what a change of the master key has to seal anew.
CREATE INDEX totp_secrets_sealing_key ON totp_secrets (substr(secret_sealed, 1, 8));

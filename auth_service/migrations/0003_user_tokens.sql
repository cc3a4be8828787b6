-- Tokens that are looked up when they are presented. A refresh token has one row for the whole life of its session:
-- the row counts generations, and the token of each generation is derived from a key that is not in the database.
CREATE TABLE user_tokens (
    id uuid CONSTRAINT user_tokens_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT user_tokens_user REFERENCES users (id) ON DELETE CASCADE,
    session_id uuid NOT NULL,
    type text NOT NULL CONSTRAINT user_tokens_type_known CHECK (type IN ('REFRESH')),
    -- SHA-256 of what identifies the token: never the token itself.
    token_digest bytea NOT NULL CONSTRAINT user_tokens_digest_length CHECK (octet_length(token_digest) = 32),
    -- The generation that is good now, and when it became so.
    generation integer NOT NULL DEFAULT 1,
    rotate_time timestamptz NOT NULL DEFAULT now(),
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL,
    revoke_time timestamptz
);
COMMENT ON TABLE user_tokens IS 'Refresh tokens, a row a session';

-- Room on each page for the next version of a row: a refresh changes no indexed column, so it stays on its page (HOT).
ALTER TABLE user_tokens SET (fillfactor = 70);

-- When each of a user's sessions was last refreshed, and the end of all of them.
CREATE INDEX idx_user_tokens_user_id_type ON user_tokens (user_id, type);

-- The token that a caller presents.
CREATE UNIQUE INDEX idx_user_tokens_token ON user_tokens (token_digest);

-- Clean-up: a token is dead from its expiry or its revocation, whichever comes first.
CREATE INDEX idx_user_tokens_expires_revoked ON user_tokens (least(expire_time, revoke_time));

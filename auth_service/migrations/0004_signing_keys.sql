-- The keys that sign access tokens. The private half is sealed under the master key (AES-256-GCM, with the kid as context).
CREATE TABLE signing_keys (
    kid text CONSTRAINT signing_keys_pkey PRIMARY KEY,
    algorithm text NOT NULL CONSTRAINT signing_keys_algorithm_known CHECK (algorithm IN ('EdDSA', 'ES256', 'RS256')),
    public_jwk jsonb NOT NULL,
    private_key_sealed bytea NOT NULL,
    state text NOT NULL CONSTRAINT signing_keys_state_known CHECK (state IN ('SIGNING', 'RETIRING')),
    create_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_keys IS 'Keys that sign access tokens';

-- One key signs; replicas that start together agree on it here.
CREATE UNIQUE INDEX signing_keys_one_signing ON signing_keys (state) WHERE state = 'SIGNING';

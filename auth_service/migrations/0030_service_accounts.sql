-- What a service account has beside its user: what its tokens may be for, and what it may do with them.
CREATE TABLE service_accounts (
    user_id uuid CONSTRAINT service_accounts_pkey PRIMARY KEY
        CONSTRAINT service_accounts_user REFERENCES users (id) ON DELETE CASCADE,
    -- The `aud` claims that its tokens may have: names of services.
    audiences text[] NOT NULL CONSTRAINT service_accounts_audiences_some CHECK (cardinality(audiences) > 0),
    -- Its client secrets have the same: a change is made there too.
    scopes text[] NOT NULL,
    -- The client's name for the request that made it, so that a repeat of it gets the first answer.
    request_id text CONSTRAINT service_accounts_request_id_length CHECK (char_length(request_id) <= 64)
);
COMMENT ON TABLE service_accounts IS 'Service accounts, beside their users';

-- The account that a repeated request has made before.
CREATE UNIQUE INDEX service_accounts_request ON service_accounts (request_id) WHERE request_id IS NOT NULL;

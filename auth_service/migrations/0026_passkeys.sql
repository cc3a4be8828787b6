-- Passkeys: WebAuthn credentials that users log in with, or add to their password.
CREATE TABLE passkeys (
    id uuid CONSTRAINT passkeys_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT passkeys_user REFERENCES users (id) ON DELETE CASCADE,
    -- A place among the user's passkeys: as many as there are places, also where two are added at once.
    slot smallint NOT NULL CONSTRAINT passkeys_slots CHECK (slot BETWEEN 1 AND 20),
    -- The authenticator's name for it.
    credential_id bytea NOT NULL
        CONSTRAINT passkeys_credential_length CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    -- As the authenticator gave it (COSE_Key).
    public_key bytea NOT NULL,
    -- How often the authenticator says it was used; zero where it does not count.
    sign_count bigint NOT NULL,
    -- How it can be reached, by the names of WebAuthn, for the browser to ask in the right place.
    transports text[] NOT NULL,
    -- Whether it can be copied to other devices.
    synced boolean NOT NULL,
    name text NOT NULL CONSTRAINT passkeys_name_length CHECK (char_length(name) <= 100),
    create_time timestamptz NOT NULL DEFAULT now(),
    use_time timestamptz
);
COMMENT ON TABLE passkeys IS 'WebAuthn credentials of users';

-- A log-in names the credential alone, so no two accounts may have the same one.
CREATE UNIQUE INDEX passkeys_credential ON passkeys (credential_id);

-- A user's passkeys, and at most so many.
CREATE UNIQUE INDEX passkeys_slot ON passkeys (user_id, slot);

-- What a mail asked its reader to prove with: a link and a code, both derived from the row's id and a key that is not in
-- the database. A row is good once; who asks again has the former one replaced.
CREATE TABLE one_time_codes (
    id uuid CONSTRAINT one_time_codes_pkey PRIMARY KEY,
    purpose text NOT NULL CONSTRAINT one_time_codes_purpose_known
        CHECK (purpose IN ('EMAIL_VERIFICATION', 'EMAIL_CHANGE', 'PASSWORD_RESET', 'LOG_IN', 'ACCOUNT_RESTORE')),
    -- Null where nobody has the email that it was asked for: then no mail goes out, and all else is the same.
    user_id uuid CONSTRAINT one_time_codes_user REFERENCES users (id) ON DELETE CASCADE,
    -- The address that it proves: a link to a former one proves nothing.
    email text NOT NULL,
    -- How often its code was guessed at.
    guesses smallint NOT NULL DEFAULT 0,
    create_time timestamptz NOT NULL DEFAULT now(),
    expire_time timestamptz NOT NULL
);
COMMENT ON TABLE one_time_codes IS 'Links and codes that were mailed and not yet used';

-- The one that a new request replaces, and all of them when the account changes.
CREATE INDEX one_time_codes_user_id ON one_time_codes (user_id);

-- Clean-up.
CREATE INDEX one_time_codes_expire ON one_time_codes (expire_time);

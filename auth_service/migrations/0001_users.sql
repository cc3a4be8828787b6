-- Accounts. Nothing here ever leaves with the password's hash: the queries that read it are two, and say so.
CREATE TABLE users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    -- As `emails.normalise` makes it: one spelling for one mailbox.
    email text NOT NULL CONSTRAINT users_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    -- A PHC string; null where the account has no password.
    password_hash text,
    display_name text NOT NULL CONSTRAINT users_display_name_length CHECK (char_length(display_name) <= 100),
    roles text[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT users_state_known CHECK (state IN ('ACTIVE', 'SUSPENDED')),
    -- Counts the changes; the etag is made of it.
    revision integer NOT NULL DEFAULT 1,
    -- The client's name for its sign-up, so that a repeat of it gets the first answer.
    sign_up_request_id text CONSTRAINT users_request_id_length CHECK (char_length(sign_up_request_id) <= 64),
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE users IS 'Accounts';

-- Sign-up refuses a second account with it, log-in finds the first one.
CREATE UNIQUE INDEX idx_users_email ON users (email);

-- How many wrong passwords there were for an email since the last right one, whether an account has it or not: what
-- NIST SP 800-63B-4 section 3.2.2 bounds. Redis counts too, and quicker, but may forget at any moment.
CREATE TABLE log_in_failures (
    -- HMAC-SHA256 of the email: guesses name people who have no account here.
    account bytea CONSTRAINT log_in_failures_pkey PRIMARY KEY,
    failures integer NOT NULL,
    update_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT log_in_failures_account_length CHECK (octet_length(account) = 32)
);
COMMENT ON TABLE log_in_failures IS 'Consecutive wrong passwords by email';

-- Clean-up of what was given up long ago.
CREATE INDEX log_in_failures_update_time ON log_in_failures (update_time);

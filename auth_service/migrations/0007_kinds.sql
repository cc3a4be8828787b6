-- Accounts and sessions of machines beside those of people, and what a session knows of its authentication.

-- A SERVICE is an account that no person logs in to: it has no email, and is used with credentials of its own.
ALTER TABLE users
ADD COLUMN kind text NOT NULL DEFAULT 'PERSON',
ADD COLUMN email_verify_time timestamptz,
-- A language for mails (BCP 47), empty where none was chosen.
ADD COLUMN locale text NOT NULL DEFAULT '',
-- When a DELETED account is erased.
ADD COLUMN purge_time timestamptz,
-- The rule below keeps persons from being without one.
-- squawk-ignore ban-drop-not-null
ALTER COLUMN email DROP NOT NULL,
ADD CONSTRAINT users_kind_known CHECK (kind IN ('PERSON', 'SERVICE')) NOT VALID,
ADD CONSTRAINT users_email_of_persons CHECK ((email IS NULL) = (kind = 'SERVICE')) NOT VALID,
ADD CONSTRAINT users_locale_length CHECK (char_length(locale) <= 35) NOT VALID,
DROP CONSTRAINT users_state_known,
ADD CONSTRAINT users_state_known CHECK (state IN ('ACTIVE', 'SUSPENDED', 'DELETED')) NOT VALID,
ADD CONSTRAINT users_deleted_with_purge CHECK ((state = 'DELETED') = (purge_time IS NOT NULL)) NOT VALID;

-- A machine's credential is a session too: it names its user, ends, and is revoked as a sign-in does and is.
ALTER TABLE sessions
ADD COLUMN kind text NOT NULL DEFAULT 'SIGN_IN',
-- What the session is limited to; empty is all that its user may do.
ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',
-- SHA-256 of the secret that a machine presents; null for a sign-in.
ADD COLUMN secret_digest bytea,
-- When the user last proved who they are, and how surely (NIST SP 800-63B: 1 is one factor, 2 is two).
ADD COLUMN auth_time timestamptz NOT NULL DEFAULT now(),
ADD COLUMN assurance smallint NOT NULL DEFAULT 1,
ADD CONSTRAINT sessions_kind_known CHECK (kind IN ('SIGN_IN', 'API_KEY', 'CLIENT_SECRET')) NOT VALID,
ADD CONSTRAINT sessions_secret_of_machines CHECK ((kind = 'SIGN_IN') = (secret_digest IS NULL)) NOT VALID,
ADD CONSTRAINT sessions_secret_length CHECK (octet_length(secret_digest) = 32) NOT VALID,
ADD CONSTRAINT sessions_assurance_known CHECK (assurance IN (1, 2)) NOT VALID,
DROP CONSTRAINT sessions_revoke_reason_known,
ADD CONSTRAINT sessions_revoke_reason_known CHECK (
    revoke_reason IN (
        'LOG_OUT', 'REVOKED', 'REFRESH_TOKEN_REUSED', 'REPLACED', 'SESSION_LIMIT', 'PASSWORD_CHANGED', 'EMAIL_CHANGED',
        'FACTOR_CHANGED', 'SUSPENDED', 'ACCOUNT_DELETED'
    )
) NOT VALID;

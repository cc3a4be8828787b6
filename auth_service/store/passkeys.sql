-- name: insert
-- A passkey in the first place that is free. The account's first second factor brings the recovery codes. Log-ins that
-- wait for a second factor are void, and the session that adds it has proven two factors.
-- $1 passkey, $2 user, $3 credential id, $4 public key, $5 sign count, $6 transports, $7 whether it is synced, $8 name
-- $9 the digests of recovery codes
-- $10 the session, $11 its methods from now on, $12 its cache key, $13 event, $14 address
-- index: passkeys_slot, totp_secrets_pkey, recovery_codes_pkey, sessions_pkey or idx_sessions_user_id or idx_sessions_user_active
WITH former AS (
    SELECT
        EXISTS (SELECT FROM totp_secrets WHERE user_id = $2 AND secret_sealed IS NOT NULL)
        OR EXISTS (SELECT FROM passkeys WHERE user_id = $2) AS factor
), free AS (
    SELECT min(place) AS slot
    FROM generate_series(1, 20) place
    WHERE place NOT IN (SELECT slot FROM passkeys WHERE user_id = $2)
), added AS (
    INSERT INTO passkeys (id, user_id, slot, credential_id, public_key, sign_count, transports, synced, name)
    SELECT $1, $2, slot, $3, $4, $5, $6, $7, $8 FROM free WHERE slot IS NOT NULL
    RETURNING id, user_id, name, synced, create_time, use_time
), first AS (
    SELECT a.user_id FROM added a CROSS JOIN former f WHERE NOT f.factor
), stale_codes AS (
    DELETE FROM recovery_codes WHERE user_id = $2 AND EXISTS (SELECT FROM first)
), codes AS (
    INSERT INTO recovery_codes (user_id, code_digest) SELECT user_id, unnest($9::bytea[]) FROM first
), session AS (
    UPDATE sessions
    SET assurance = 2, auth_methods = $11
    WHERE id = $10 AND user_id = $2 AND revoke_time IS NULL AND EXISTS (SELECT FROM added)
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $12 FROM session
), void AS (
    DELETE FROM log_in_challenges WHERE user_id = $2 AND EXISTS (SELECT FROM added)
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $13, 'PASSKEY_ADDED', user_id, $10, $14 FROM added
)
SELECT id, name, synced, create_time, use_time, EXISTS (SELECT FROM first) AS first FROM added;

-- name: list_page
-- A user's passkeys, at most twenty, in the order in which they were added.
-- $1 the user, $2 the id to go on after, or null, $3 how many
-- index: passkeys_slot
SELECT id, name, synced, create_time, use_time
FROM (
    SELECT id, name, synced, create_time, use_time FROM passkeys WHERE user_id = $1 ORDER BY slot LIMIT 20
) p
WHERE id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
ORDER BY id
LIMIT $3;

-- name: list_credentials
-- What a browser is told of a user's passkeys; there are at most twenty.
-- $1 the user
-- index: passkeys_slot
SELECT credential_id, transports FROM passkeys WHERE user_id = $1 ORDER BY slot LIMIT 20;

-- name: find_by_credential
-- $1 credential id
-- index: passkeys_credential
SELECT id, public_key, synced, user_id FROM passkeys WHERE credential_id = $1;

-- name: advance
-- The compare-and-set that notices a copy of an authenticator: its count never goes back and never stands still, unless
-- it does not count at all (WebAuthn section 6.1.1).
-- $1 the passkey, $2 the count of its answer
-- index: passkeys_pkey
UPDATE passkeys
SET sign_count = $2, use_time = now()
WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))
RETURNING id;

-- name: delete
-- With the last second factor go the recovery codes. Log-ins that wait for a second factor are void.
-- $1 the user, $2 the passkey, $3 the session that asks, $4 event, $5 address
-- index: passkeys_pkey or passkeys_slot, totp_secrets_pkey, recovery_codes_pkey, log_in_challenges_user_id
WITH others AS (
    SELECT
        EXISTS (SELECT FROM totp_secrets WHERE user_id = $1 AND secret_sealed IS NOT NULL)
        OR EXISTS (SELECT FROM passkeys WHERE user_id = $1 AND id <> $2) AS factor
), deleted AS (
    DELETE FROM passkeys WHERE id = $2 AND user_id = $1 RETURNING user_id
), codes AS (
    DELETE FROM recovery_codes
    WHERE user_id = $1 AND EXISTS (SELECT FROM deleted) AND NOT (SELECT factor FROM others)
), void AS (
    DELETE FROM log_in_challenges WHERE user_id = $1 AND EXISTS (SELECT FROM deleted)
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $4, 'PASSKEY_DELETED', user_id, $3, $5 FROM deleted
)
SELECT user_id FROM deleted;

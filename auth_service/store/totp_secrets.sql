-- name: find
-- $1 the user
-- index: totp_secrets_pkey
SELECT
    secret_sealed, confirm_time,
    CASE WHEN pending_expire_time > now() THEN pending_sealed END AS pending_sealed
FROM totp_secrets
WHERE user_id = $1;

-- name: enroll
-- An app that is to be confirmed, in place of an earlier one that was not.
-- $1 the user, $2 the secret, sealed, $3 how long it can be confirmed
-- index: none, because it only inserts, or changes what is in its way
INSERT INTO totp_secrets (user_id, pending_sealed, pending_expire_time) VALUES ($1, $2, now() + $3)
ON CONFLICT (user_id) DO UPDATE
SET pending_sealed = excluded.pending_sealed, pending_expire_time = excluded.pending_expire_time
RETURNING pending_expire_time;

-- name: confirm
-- Puts the enrolled app to use, unless another call was quicker. The account's first second factor brings the recovery
-- codes. Log-ins that wait for a second factor are void, and the session that confirmed has proven two factors.
-- $1 the user, $2 the secret as it was read, sealed, $3 the step of its code, $4 the digests of recovery codes
-- $5 the session, $6 its methods from now on, $7 its cache key, $8 event, $9 address
-- index: totp_secrets_pkey, passkeys_slot, recovery_codes_pkey, sessions_pkey or idx_sessions_user_id or idx_sessions_user_active
WITH former AS (
    SELECT
        EXISTS (SELECT FROM totp_secrets WHERE user_id = $1 AND secret_sealed IS NOT NULL)
        OR EXISTS (SELECT FROM passkeys WHERE user_id = $1) AS factor
), confirmed AS (
    UPDATE totp_secrets
    SET
        secret_sealed = pending_sealed, confirm_time = now(), last_step = $3,
        pending_sealed = NULL, pending_expire_time = NULL
    WHERE user_id = $1 AND pending_sealed = $2 AND pending_expire_time > now()
    RETURNING user_id
), first AS (
    SELECT c.user_id FROM confirmed c CROSS JOIN former f WHERE NOT f.factor
), stale_codes AS (
    DELETE FROM recovery_codes WHERE user_id = $1 AND EXISTS (SELECT FROM first)
), codes AS (
    INSERT INTO recovery_codes (user_id, code_digest) SELECT user_id, unnest($4::bytea[]) FROM first
), session AS (
    UPDATE sessions
    SET assurance = 2, auth_methods = $6
    WHERE id = $5 AND user_id = $1 AND revoke_time IS NULL AND EXISTS (SELECT FROM confirmed)
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $7 FROM session
), void AS (
    DELETE FROM log_in_challenges WHERE user_id = $1 AND EXISTS (SELECT FROM confirmed)
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $8, 'TOTP_ENABLED', user_id, $5, $9 FROM confirmed
)
SELECT EXISTS (SELECT FROM first) AS first FROM confirmed;

-- name: advance
-- The compare-and-set that makes a code good once: of all who present it, one moves the step on.
-- $1 the user, $2 the step of the code, $3 since when the app is in use
-- index: totp_secrets_pkey
UPDATE totp_secrets
SET last_step = $2
WHERE user_id = $1 AND confirm_time = $3 AND last_step < $2
RETURNING last_step;

-- name: disable
-- With the last second factor go the recovery codes. Log-ins that wait for a second factor are void.
-- $1 the user, $2 the session that asks, $3 event, $4 address
-- index: totp_secrets_pkey, passkeys_slot, recovery_codes_pkey, log_in_challenges_user_id
WITH disabled AS (
    DELETE FROM totp_secrets WHERE user_id = $1 AND secret_sealed IS NOT NULL RETURNING user_id
), codes AS (
    DELETE FROM recovery_codes
    WHERE
        user_id = $1 AND EXISTS (SELECT FROM disabled) AND NOT EXISTS (SELECT FROM passkeys WHERE user_id = $1)
), void AS (
    DELETE FROM log_in_challenges WHERE user_id = $1 AND EXISTS (SELECT FROM disabled)
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $3, 'TOTP_DISABLED', user_id, $2, $4 FROM disabled
)
SELECT user_id FROM disabled;

-- name: list_sealed_otherwise
-- Secrets in use that another key sealed; there are none but after a change of the master key.
-- $1 the id of the key that seals now, $2 how many
-- index: totp_secrets_sealing_key
SELECT user_id, secret_sealed
FROM (
    SELECT user_id, secret_sealed FROM totp_secrets WHERE substr(secret_sealed, 1, 8) < $1
    UNION ALL
    SELECT user_id, secret_sealed FROM totp_secrets WHERE substr(secret_sealed, 1, 8) > $1
) otherwise
LIMIT $2;

-- name: reseal
-- $1 the user, $2 the secret as it was sealed, $3 as it is now
-- index: totp_secrets_pkey
UPDATE totp_secrets SET secret_sealed = $3 WHERE user_id = $1 AND secret_sealed = $2 RETURNING user_id;

-- name: use
-- A code is good once: of all who present it, one deletes its row.
-- $1 the user, $2 the code's digest, $3 event, $4 address
-- index: recovery_codes_pkey
WITH used AS (
    DELETE FROM recovery_codes WHERE user_id = $1 AND code_digest = $2 RETURNING user_id
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $3, 'RECOVERY_CODE_USED', user_id, $4 FROM used
)
SELECT user_id FROM used;

-- name: replace
-- New codes for all former ones, where the account has a second factor that they can stand for.
-- $1 the user, $2 the digests, $3 the session that asks, $4 event, $5 address
-- index: users_pkey, totp_secrets_pkey, passkeys_slot, recovery_codes_pkey
WITH owner AS (
    SELECT id AS user_id FROM users
    WHERE
        id = $1
        AND (
            EXISTS (SELECT FROM totp_secrets WHERE user_id = $1 AND secret_sealed IS NOT NULL)
            OR EXISTS (SELECT FROM passkeys WHERE user_id = $1)
        )
), deleted AS (
    DELETE FROM recovery_codes WHERE user_id = $1 AND EXISTS (SELECT FROM owner)
), codes AS (
    INSERT INTO recovery_codes (user_id, code_digest) SELECT user_id, unnest($2::bytea[]) FROM owner
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $4, 'RECOVERY_CODES_REPLACED', user_id, $3, $5 FROM owner
)
SELECT user_id FROM owner;

-- name: insert
-- A challenge for an account that has a second factor, and whose password still is the one that was checked.
-- $1 challenge, $2 its secret's digest, $3 the user, $4 whether by a password, $5 when that one was chosen, $6 methods
-- $7 device label, $8 how many answers it allows, $9 its lifetime
-- index: users_pkey, totp_secrets_pkey, recovery_codes_pkey, passkeys_slot
WITH factors AS (
    SELECT
        id, password_change_time,
        EXISTS (SELECT FROM totp_secrets WHERE user_id = $3 AND secret_sealed IS NOT NULL) AS totp,
        EXISTS (SELECT FROM recovery_codes WHERE user_id = $3) AS recovery_code,
        EXISTS (SELECT FROM passkeys WHERE user_id = $3) AS passkey
    FROM users
    WHERE id = $3 AND state = 'ACTIVE' AND (NOT $4::boolean OR password_change_time IS NOT DISTINCT FROM $5)
), challenge AS (
    INSERT INTO log_in_challenges (
        id, secret_digest, user_id, password_change_time, auth_methods, device_label, attempts_left, expire_time
    )
    SELECT $1, $2, id, password_change_time, $6, $7, $8, now() + $9 FROM factors WHERE totp OR passkey
    RETURNING expire_time
)
SELECT f.totp, f.recovery_code, f.passkey, c.expire_time FROM factors f CROSS JOIN challenge c;

-- name: attempt
-- Counts an answer before it is checked, so that no burst gets more of them than there are.
-- $1 challenge, $2 its secret's digest
-- index: log_in_challenges_pkey, users_pkey
WITH counted AS (
    UPDATE log_in_challenges c
    SET attempts_left = c.attempts_left - 1
    WHERE
        c.id = $1 AND c.secret_digest = $2 AND c.attempts_left > 0 AND c.expire_time > now()
        AND (
            SELECT u.state = 'ACTIVE' AND u.password_change_time IS NOT DISTINCT FROM c.password_change_time
            FROM users u
            WHERE u.id = c.user_id
        )
    RETURNING c.user_id, c.auth_methods, c.password_change_time, c.device_label
)
SELECT c.user_id, u.email, c.auth_methods, c.password_change_time, c.device_label
FROM counted c INNER JOIN users u ON u.id = c.user_id;

-- name: consume
-- A challenge is exchanged once: of all who answer it rightly, one deletes its row.
-- $1 challenge, $2 its secret's digest
-- index: log_in_challenges_pkey, users_pkey
WITH consumed AS (
    DELETE FROM log_in_challenges c
    WHERE
        c.id = $1 AND c.secret_digest = $2 AND c.expire_time > now()
        AND (
            SELECT u.state = 'ACTIVE' AND u.password_change_time IS NOT DISTINCT FROM c.password_change_time
            FROM users u
            WHERE u.id = c.user_id
        )
    RETURNING c.user_id
)
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time
FROM consumed c INNER JOIN users u ON u.id = c.user_id;

-- name: delete_expired
-- Clean-up.
-- $1 how many
-- index: log_in_challenges_expire
WITH expired AS (
    SELECT id FROM log_in_challenges
    WHERE expire_time < now()
    ORDER BY expire_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM log_in_challenges c USING expired WHERE c.id = expired.id RETURNING c.id
)
SELECT count(*) FROM deleted;

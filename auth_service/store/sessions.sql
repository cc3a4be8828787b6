-- name: find_many
-- $1 the sessions
-- index: sessions_pkey
SELECT
    id, user_id, kind, device_label, user_agent, address, auth_methods, assurance, scopes, secret_digest, auth_time,
    create_time, expire_time, revoke_time
FROM sessions
WHERE id = any($1::uuid[]);

-- name: find_first
-- The session that a sign-up made.
-- $1 the user
-- index: idx_sessions_user_id
SELECT
    id, user_id, kind, device_label, user_agent, address, auth_methods, assurance, scopes, secret_digest, auth_time,
    create_time, expire_time, revoke_time
FROM sessions
WHERE user_id = $1
ORDER BY user_id, id
LIMIT 1;

-- name: insert
-- A session with its refresh token and the event, and the end of the session whose place it takes, in one statement;
-- and a mail where the account has not been used before from this address or on such a device (versions of the same
-- program are one device). Whoever has a second factor gets none from one factor alone, on whichever way.
-- $1 session, $2 device label, $3 user agent, $4 address, $5 methods, $6 assurance, $7 its lifetime
-- $8 token's id, $9 its digest, $10 event, $11 the user, who must be active
-- $12 mail or null, $13 its kind, $14 its content, sealed, $15 how long it is worth sending
-- $16 whether by a password, $17 when that one was chosen. The lock on the user lets a change of the password go first,
-- which would otherwise not see the session that it has to end.
-- $18 the session that must end for it, or null, $19 the digest of its refresh token, $20 its cache key, $21 event
-- index: users_pkey, idx_sessions_user_id, totp_secrets_pkey, passkeys_slot
WITH account AS (
    SELECT id FROM users
    WHERE
        id = $11 AND state = 'ACTIVE' AND (NOT $16::boolean OR password_change_time IS NOT DISTINCT FROM $17)
        AND (
            $6 > 1
            OR NOT EXISTS (SELECT FROM totp_secrets WHERE user_id = $11 AND secret_sealed IS NOT NULL)
            AND NOT EXISTS (SELECT FROM passkeys WHERE user_id = $11)
        )
    FOR SHARE OF users
), replaced AS (
    UPDATE sessions s
    SET revoke_time = now(), revoke_reason = 'REPLACED'
    FROM account a
    WHERE s.id = $18 AND s.user_id = a.id AND s.revoke_time IS NULL
    RETURNING s.id, s.user_id
), replaced_token AS (
    UPDATE user_tokens t
    SET revoke_time = now()
    FROM replaced r
    WHERE t.token_digest = $19 AND t.session_id = r.id AND t.revoke_time IS NULL
), debt AS (
    INSERT INTO cache_debts (key) SELECT $20 FROM replaced
), replaced_event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $21, 'SESSION_REPLACED', user_id, id, $4 FROM replaced
), session AS (
    INSERT INTO sessions (id, user_id, device_label, user_agent, address, auth_methods, assurance, expire_time)
    SELECT $1, id, $2, $3, $4, $5, $6, now() + $7
    FROM account
    WHERE $18::uuid IS NULL OR EXISTS (SELECT FROM replaced)
    RETURNING
        user_id, device_label, user_agent, address, auth_methods, assurance, auth_time, create_time, expire_time
), token AS (
    INSERT INTO user_tokens (id, user_id, session_id, type, token_digest, expire_time)
    SELECT $8, user_id, $1, 'REFRESH', $9, expire_time FROM session
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $10, 'LOG_IN', user_id, $1, $4 FROM session
), mail AS (
    INSERT INTO mail_outbox (id, kind, content_sealed, expire_time)
    SELECT $12, $13, $14, now() + $15
    FROM session
    WHERE
        $12::uuid IS NOT NULL
        AND (
            NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = $11 AND s.kind = 'SIGN_IN' AND s.address = $4)
            OR NOT EXISTS (
                SELECT FROM sessions s
                WHERE
                    s.user_id = $11 AND s.kind = 'SIGN_IN' AND s.device_label = $2
                    AND regexp_replace(s.user_agent, '[0-9.]+', '', 'g') = regexp_replace($3, '[0-9.]+', '', 'g')
            )
        )
)
SELECT
    device_label, user_agent, address, auth_methods, assurance, auth_time,
    create_time AS session_create_time, expire_time AS session_expire_time
FROM session;

-- name: list_all
-- $1 the user, $2 the id to go on after, or null, $3 how many
-- index: idx_sessions_user_id
SELECT
    id, user_id, kind, device_label, user_agent, address, auth_methods, assurance, scopes, secret_digest, auth_time,
    create_time, expire_time, revoke_time
FROM sessions
WHERE user_id = $1 AND kind = 'SIGN_IN' AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
ORDER BY id DESC
LIMIT $3;

-- name: list_active
-- $1 the user, $2 and $3 the expiry and id to go on after, or null, $4 how many
-- index: idx_sessions_user_active
SELECT
    id, user_id, kind, device_label, user_agent, address, auth_methods, assurance, scopes, secret_digest, auth_time,
    create_time, expire_time, revoke_time
FROM sessions
WHERE
    user_id = $1 AND kind = 'SIGN_IN' AND revoke_time IS NULL AND expire_time > now()
    AND (expire_time, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
ORDER BY expire_time DESC, id DESC
LIMIT $4;

-- name: revoke
-- The session, its refresh token, the cache's debt and the event, in one statement.
-- $1 the session, $2 its user, $3 the reason, $4 the digest of its refresh token, $5 the cache key, $6 event, $7 address
-- index: sessions_pkey or idx_sessions_user_id or idx_sessions_user_active, idx_user_tokens_token
WITH revoked AS (
    UPDATE sessions
    SET revoke_time = now(), revoke_reason = $3
    WHERE id = $1 AND user_id = $2 AND revoke_time IS NULL
    RETURNING id, user_id
), token AS (
    UPDATE user_tokens t
    SET revoke_time = now()
    FROM revoked
    WHERE t.token_digest = $4 AND t.revoke_time IS NULL
), debt AS (
    INSERT INTO cache_debts (key) SELECT $5 FROM revoked
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT $6, 'SESSION_' || $3, user_id, id, $7 FROM revoked
)
SELECT count(*) FROM revoked;

-- name: list_beyond
-- The oldest of a user's active sign-ins, beyond so many.
-- $1 the user, $2 how many may stay
-- index: idx_sessions_user_active
SELECT id
FROM sessions
WHERE user_id = $1 AND kind = 'SIGN_IN' AND revoke_time IS NULL AND expire_time > now()
ORDER BY expire_time DESC, id DESC
OFFSET $2
LIMIT 500;

-- name: revoke_others
-- At most so many of a user's other sessions with their tokens, debts and events; and all log-ins that wait for a
-- second factor.
-- $1 the user, $2 the session that stays, or null, $3 the prefix of the cache keys, $4 address, $5 how many, $6 the reason
-- index: idx_sessions_user_active, idx_user_tokens_user_id_type, log_in_challenges_user_id
WITH doomed AS (
    SELECT id FROM sessions
    WHERE user_id = $1 AND kind = 'SIGN_IN' AND revoke_time IS NULL AND expire_time > now() AND id IS DISTINCT FROM $2
    ORDER BY expire_time DESC, id DESC
    LIMIT $5
    FOR UPDATE
), revoked AS (
    UPDATE sessions s
    SET revoke_time = now(), revoke_reason = $6
    FROM doomed
    WHERE s.id = doomed.id
    RETURNING s.id, s.user_id
), token AS (
    UPDATE user_tokens t
    SET revoke_time = now()
    FROM revoked
    WHERE t.user_id = $1 AND t.type = 'REFRESH' AND t.session_id = revoked.id AND t.revoke_time IS NULL
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 || id FROM revoked
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address)
    SELECT gen_random_uuid(), 'SESSION_' || $6, user_id, id, $4 FROM revoked
), void AS (
    DELETE FROM log_in_challenges WHERE user_id = $1
)
SELECT id FROM revoked;

-- name: delete_ended
-- Clean-up. Ids begin with the millisecond that they were made in (RFC 9562), so the sessions begun before a moment
-- are a range of them.
-- $1 how many, $2 how long ago they must have ended
-- index: sessions_pkey
WITH ended AS (
    SELECT id FROM sessions
    WHERE
        id < (lpad(to_hex((extract(epoch FROM now() - $2::interval) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
        AND least(expire_time, revoke_time) < now() - $2::interval
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM sessions s USING ended WHERE s.id = ended.id RETURNING s.id
)
SELECT count(*) FROM deleted;

-- name: signed_in_from
-- $1 the email, normalised, $2 the address
-- index: idx_users_email, idx_sessions_user_id
SELECT EXISTS (
    SELECT FROM users u INNER JOIN sessions s ON s.user_id = u.id
    WHERE u.email = $1 AND s.address = $2
);

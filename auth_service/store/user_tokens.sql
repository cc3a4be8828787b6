-- name: rotate
-- The compare-and-set of a refresh: of all who race with one token, one changes the row, and it stays on its page.
-- A generation ahead of the row's is taken too: only we can have minted it, and a restored backup has forgotten it.
-- $1 digest, $2 the generation presented, $3 how long a token may lie unused
-- index: idx_user_tokens_token
UPDATE user_tokens t
SET generation = $2 + 1, rotate_time = now()
FROM sessions s INNER JOIN users u ON u.id = s.user_id
WHERE
    t.token_digest = $1 AND t.type = 'REFRESH' AND t.generation <= $2
    AND t.revoke_time IS NULL AND t.expire_time > now() AND t.rotate_time > now() - $3::interval
    AND s.id = t.session_id AND s.revoke_time IS NULL
    AND u.state = 'ACTIVE'
RETURNING
    t.session_id, t.user_id, t.generation, t.rotate_time, t.expire_time, u.roles, s.auth_methods, s.assurance, s.auth_time,
    true AS alive, true AS in_grace;

-- name: find_refresh
-- How a refresh token stands that was not rotated, or not by this call.
-- $1 digest, $2 how long a token may lie unused, $3 the grace of a former generation
-- index: idx_user_tokens_token
SELECT
    t.session_id, t.user_id, t.generation, t.rotate_time, t.expire_time, u.roles, s.auth_methods, s.assurance, s.auth_time,
    (
        t.revoke_time IS NULL AND t.expire_time > now() AND t.rotate_time > now() - $2::interval
        AND s.revoke_time IS NULL AND u.state = 'ACTIVE'
    ) AS alive,
    t.rotate_time > now() - $3::interval AS in_grace
FROM user_tokens t
INNER JOIN sessions s ON s.id = t.session_id
INNER JOIN users u ON u.id = t.user_id
WHERE t.token_digest = $1 AND t.type = 'REFRESH';

-- name: last_used
-- When the sessions of a page were last refreshed.
-- $1 the user, $2 the sessions
-- index: idx_user_tokens_user_id_type
SELECT session_id, rotate_time
FROM user_tokens
WHERE user_id = $1 AND type = 'REFRESH' AND session_id = any($2::uuid[]);

-- name: delete_dead
-- Clean-up.
-- $1 how many, $2 how long they must have been dead
-- index: idx_user_tokens_expires_revoked
WITH dead AS (
    SELECT id FROM user_tokens
    WHERE least(expire_time, revoke_time) < now() - $2::interval
    ORDER BY least(expire_time, revoke_time)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM user_tokens t USING dead WHERE t.id = dead.id RETURNING t.id
)
SELECT count(*) FROM deleted;

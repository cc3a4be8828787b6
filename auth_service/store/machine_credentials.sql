-- name: lock_holder
-- Keeps a second one out until the transaction's end, so that two at once cannot both find room for one more, nor both
-- miss that a request is a repeat, nor one what the other changes.
-- $1 the user
-- index: users_pkey
SELECT state FROM users WHERE id = $1 FOR NO KEY UPDATE;

-- name: insert
-- A credential with its session and the event; none where the user has so many that count.
-- $1 the user, $2 how many there may be, $3 session, $4 kind, $5 name, $6 user agent, $7 address, $8 scopes, $9 digest
-- $10 its end, or null, $11 its lifetime where no end is given, $12 request id or null, $13 what it replaces, or null
-- $14 event, $15 type of the event, $16 who did it, where that was not the user
-- index: machine_credentials_user_id, sessions_pkey
WITH alive AS (
    SELECT count(*) AS number
    FROM machine_credentials c INNER JOIN sessions s ON s.id = c.session_id
    WHERE c.user_id = $1 AND s.revoke_time IS NULL AND s.expire_time > now()
), session AS (
    INSERT INTO sessions (
        id, user_id, kind, device_label, user_agent, address, auth_methods, scopes, secret_digest, expire_time
    )
    SELECT $3, $1, $4, $5, $6, $7, '{}', $8, $9, coalesce($10, now() + $11)
    FROM alive
    WHERE number < $2
    RETURNING
        id, user_id, kind, device_label, user_agent, address, auth_methods, assurance, scopes, secret_digest, auth_time,
        create_time, expire_time, revoke_time
), credential AS (
    INSERT INTO machine_credentials (session_id, user_id, request_id, replaces_id)
    SELECT id, user_id, $12, $13 FROM session
    RETURNING replaces_id, last_use_time
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, actor_id, address)
    SELECT $14, $15, user_id, id, $16, address FROM session
)
SELECT
    s.id, s.user_id, s.kind, s.device_label, s.user_agent, s.address, s.auth_methods, s.assurance, s.scopes,
    s.secret_digest, s.auth_time, s.create_time, s.expire_time, s.revoke_time, c.replaces_id, c.last_use_time
FROM session s CROSS JOIN credential c;

-- name: find
-- $1 the user, $2 the session
-- index: machine_credentials_pkey or machine_credentials_user_id, sessions_pkey
SELECT
    s.id, s.user_id, s.kind, s.device_label, s.user_agent, s.address, s.auth_methods, s.assurance, s.scopes,
    s.secret_digest, s.auth_time, s.create_time, s.expire_time, s.revoke_time, c.replaces_id, c.last_use_time
FROM machine_credentials c INNER JOIN sessions s ON s.id = c.session_id
WHERE c.user_id = $1 AND c.session_id = $2;

-- name: find_repeat
-- What a request has made before.
-- $1 the user, $2 the request's id
-- index: machine_credentials_request or machine_credentials_user_id, sessions_pkey
SELECT
    s.id, s.user_id, s.kind, s.device_label, s.user_agent, s.address, s.auth_methods, s.assurance, s.scopes,
    s.secret_digest, s.auth_time, s.create_time, s.expire_time, s.revoke_time, c.replaces_id, c.last_use_time
FROM machine_credentials c INNER JOIN sessions s ON s.id = c.session_id
WHERE c.user_id = $1 AND c.request_id = $2;

-- name: list
-- A user's credentials, the newest first.
-- $1 the user, $2 the session to go on after, or null, $3 how many, $4 whether ended ones too
-- index: machine_credentials_user_id, sessions_pkey
SELECT
    s.id, s.user_id, s.kind, s.device_label, s.user_agent, s.address, s.auth_methods, s.assurance, s.scopes,
    s.secret_digest, s.auth_time, s.create_time, s.expire_time, s.revoke_time, c.replaces_id, c.last_use_time
FROM machine_credentials c INNER JOIN sessions s ON s.id = c.session_id
WHERE
    c.user_id = $1 AND c.session_id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    AND ($4 OR (s.revoke_time IS NULL AND s.expire_time > now()))
ORDER BY c.session_id DESC
LIMIT $3;

-- name: list_of
-- The credentials of several users that may be used now, the newest first.
-- $1 the users
-- index: machine_credentials_user_id, sessions_pkey
SELECT
    s.id, s.user_id, s.kind, s.device_label, s.user_agent, s.address, s.auth_methods, s.assurance, s.scopes,
    s.secret_digest, s.auth_time, s.create_time, s.expire_time, s.revoke_time, c.replaces_id, c.last_use_time
FROM machine_credentials c INNER JOIN sessions s ON s.id = c.session_id
WHERE c.user_id = any($1::uuid[]) AND s.revoke_time IS NULL AND s.expire_time > now()
ORDER BY c.session_id DESC;

-- name: revoke
-- Ends a credential, with the cache's debt and the event.
-- $1 the session, $2 the user, $3 reason, $4 the cache key, $5 event, $6 type of the event, $7 who did it, where that was
-- not the user, $8 address
-- index: sessions_pkey or idx_sessions_user_id or idx_sessions_user_active
WITH revoked AS (
    UPDATE sessions
    SET revoke_time = now(), revoke_reason = $3
    WHERE id = $1 AND user_id = $2 AND kind <> 'SIGN_IN' AND revoke_time IS NULL
    RETURNING id, user_id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $4 FROM revoked
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, actor_id, address)
    SELECT $5, $6, user_id, id, $7, $8 FROM revoked
)
SELECT count(*) FROM revoked;

-- name: shorten
-- Brings the end of a credential nearer.
-- $1 the session, $2 how long it goes on, $3 the cache key
-- index: sessions_pkey
WITH shortened AS (
    UPDATE sessions
    SET expire_time = least(expire_time, now() + $2::interval)
    WHERE id = $1 AND revoke_time IS NULL
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM shortened
)
SELECT count(*) FROM shortened;

-- name: touch
-- Says of credentials that they were used; those that another replica is at, or that were used a moment ago, are passed
-- over.
-- $1 the sessions, $2 what is a moment ago
-- index: machine_credentials_pkey
WITH used AS (
    SELECT session_id FROM machine_credentials
    WHERE session_id = any($1::uuid[]) AND (last_use_time IS NULL OR last_use_time < now() - $2::interval)
    FOR UPDATE SKIP LOCKED
)
UPDATE machine_credentials c
SET last_use_time = now()
FROM used
WHERE c.session_id = used.session_id;

-- name: insert
-- An account that an administrator makes: it has no password.
-- $1 user, $2 email, $3 display name, $4 locale, $5 roles, $6 whether the email is verified, $7 request id or null
-- $8 event, $9 administrator, $10 address
-- index: none, because it only inserts
WITH "user" AS (
    INSERT INTO users (id, email, display_name, locale, roles, email_verify_time, sign_up_request_id)
    VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN now() END, $7)
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address) VALUES ($8, 'USER_CREATED', $1, $9, $10)
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM "user";

-- name: update
-- What is null stays as it is.
-- $1 the user, $2 the revision it must have, or null, $3 display name, $4 locale, $5 roles, $6 whether the email is verified
-- $7 the cache key that this makes stale, $8 event, $9 administrator, $10 address
-- index: users_pkey
WITH changed AS (
    UPDATE users
    SET
        display_name = coalesce($3, display_name),
        locale = coalesce($4, locale),
        roles = coalesce($5::text[], roles),
        email_verify_time = CASE
            WHEN $6::boolean IS NULL THEN email_verify_time
            WHEN $6 THEN coalesce(email_verify_time, now())
        END,
        revision = revision + 1,
        update_time = now()
    WHERE id = $1 AND revision = coalesce($2, revision)
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), debt AS (
    INSERT INTO cache_debts (key) SELECT $7 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address, details)
    SELECT $8, 'USER_UPDATED', id, $9, $10, jsonb_build_object('roles', roles, 'locale', locale) FROM changed
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM changed;

-- name: suspend
-- Shuts an account: its sign-ins end, the credentials of its machines wait for it to be opened again.
-- $1 the user, $2 the comment, $3 the cache key of the user, $4 the prefix of those of the sessions
-- $5 event, $6 administrator, $7 address
-- index: users_pkey, idx_sessions_user_active, idx_user_tokens_user_id_type
WITH changed AS (
    UPDATE users
    SET state = 'SUSPENDED', revision = revision + 1, update_time = now()
    WHERE id = $1 AND state = 'ACTIVE'
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), revoked AS (
    UPDATE sessions s
    SET revoke_time = now(), revoke_reason = 'SUSPENDED'
    FROM changed
    WHERE s.user_id = $1 AND s.kind = 'SIGN_IN' AND s.revoke_time IS NULL AND s.expire_time > now()
    RETURNING s.id
), token AS (
    UPDATE user_tokens t
    SET revoke_time = now()
    FROM revoked
    WHERE t.user_id = $1 AND t.type = 'REFRESH' AND t.session_id = revoked.id AND t.revoke_time IS NULL
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed UNION ALL SELECT $4 || id FROM revoked
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address, details)
    SELECT $5, 'USER_SUSPENDED', id, $6, $7, jsonb_build_object('comment', $2::text) FROM changed
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time,
    (SELECT array_agg(id) FROM revoked) AS session_ids
FROM changed;

-- name: reinstate
-- $1 the user, $2 the comment, $3 the cache key of the user, $4 event, $5 administrator, $6 address
-- index: users_pkey or users_not_active
WITH changed AS (
    UPDATE users
    SET state = 'ACTIVE', revision = revision + 1, update_time = now()
    WHERE id = $1 AND state = 'SUSPENDED'
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address, details)
    SELECT $4, 'USER_REINSTATED', id, $5, $6, jsonb_build_object('comment', $2::text) FROM changed
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM changed;

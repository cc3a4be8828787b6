-- name: insert
-- $1 user, $2 display name, $3 roles, $4 audiences, $5 scopes, $6 request id or null, $7 event, $8 administrator, $9 address
-- index: none, because it only inserts
WITH "user" AS (
    INSERT INTO users (id, kind, email, display_name, roles) VALUES ($1, 'SERVICE', NULL, $2, $3)
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), account AS (
    INSERT INTO service_accounts (user_id, audiences, scopes, request_id)
    SELECT id, $4::text[], $5::text[], $6 FROM "user"
    RETURNING audiences, scopes
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address, details)
    VALUES (
        $7, 'SERVICE_ACCOUNT_CREATED', $1, $8, $9,
        jsonb_build_object('roles', $3::text[], 'audiences', $4::text[], 'scopes', $5::text[])
    )
)
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time, a.audiences, a.scopes
FROM "user" u CROSS JOIN account a;

-- name: find
-- $1 the user
-- index: service_accounts_pkey, users_pkey
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time, a.audiences, a.scopes
FROM service_accounts a INNER JOIN users u ON u.id = a.user_id
WHERE a.user_id = $1;

-- name: find_repeat
-- What a request has made before.
-- $1 the request's id
-- index: service_accounts_request, users_pkey
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time, a.audiences, a.scopes
FROM service_accounts a INNER JOIN users u ON u.id = a.user_id
WHERE a.request_id = $1;

-- name: list
-- Those that are not deleted, the newest first.
-- $1 the user to go on after, or null, $2 how many
-- index: service_accounts_pkey, users_pkey
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time, a.audiences, a.scopes
FROM service_accounts a INNER JOIN users u ON u.id = a.user_id
WHERE a.user_id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) AND u.state <> 'DELETED'
ORDER BY a.user_id DESC
LIMIT $2;

-- name: update
-- What is null stays as it is. The client secrets get the account's scopes, so that a change counts from the next call on.
-- $1 the user, $2 the revision it must have, or null, $3 display name, $4 roles, $5 audiences, $6 scopes
-- $7 the cache key of the user, $8 the prefix of those of the sessions, $9 event, $10 administrator, $11 address
-- index: users_pkey, service_accounts_pkey, idx_sessions_user_active or idx_sessions_user_id
WITH changed AS (
    UPDATE users
    SET
        display_name = coalesce($3, display_name), roles = coalesce($4::text[], roles),
        revision = revision + 1, update_time = now()
    WHERE id = $1 AND kind = 'SERVICE' AND state <> 'DELETED' AND revision = coalesce($2, revision)
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), account AS (
    UPDATE service_accounts a
    SET audiences = coalesce($5::text[], audiences), scopes = coalesce($6::text[], scopes)
    FROM changed
    WHERE a.user_id = changed.id
    RETURNING a.user_id, a.audiences, a.scopes
), secret AS (
    UPDATE sessions s
    SET scopes = account.scopes
    FROM account
    WHERE
        s.user_id = account.user_id AND s.kind = 'CLIENT_SECRET' AND s.revoke_time IS NULL AND s.expire_time > now()
        AND s.scopes <> account.scopes
    RETURNING s.id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $7 FROM changed UNION ALL SELECT $8 || id FROM secret
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address, details)
    SELECT
        $9, 'SERVICE_ACCOUNT_UPDATED', c.id, $10, $11,
        jsonb_build_object('roles', c.roles, 'audiences', a.audiences, 'scopes', a.scopes)
    FROM changed c CROSS JOIN account a
)
SELECT
    c.id, c.kind, c.email, c.email_verify_time, c.display_name, c.locale, c.roles, c.state, c.purge_time, c.revision,
    c.create_time, c.update_time, a.audiences, a.scopes, (SELECT array_agg(id) FROM secret) AS session_ids
FROM changed c CROSS JOIN account a;

-- name: delete
-- Takes an account out of use for good, its client secrets with it; clean-up removes it at its purge_time.
-- $1 the user, $2 the time until then, $3 the cache key of the user, $4 the prefix of those of the sessions
-- $5 event, $6 administrator, $7 address
-- index: users_pkey, idx_sessions_user_active or idx_sessions_user_id
WITH changed AS (
    UPDATE users
    SET state = 'DELETED', purge_time = now() + $2::interval, revision = revision + 1, update_time = now()
    WHERE id = $1 AND kind = 'SERVICE' AND state <> 'DELETED'
    RETURNING id
), secret AS (
    UPDATE sessions s
    SET revoke_time = now(), revoke_reason = 'ACCOUNT_DELETED'
    FROM changed
    WHERE s.user_id = changed.id AND s.revoke_time IS NULL AND s.expire_time > now()
    RETURNING s.id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed UNION ALL SELECT $4 || id FROM secret
), event AS (
    INSERT INTO audit_events (id, type, user_id, actor_id, address)
    SELECT $5, 'SERVICE_ACCOUNT_DELETED', id, $6, $7 FROM changed
)
SELECT id FROM secret;

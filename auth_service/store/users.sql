-- name: find_many
-- $1 the users
-- index: users_pkey
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM users
WHERE id = any($1::uuid[]);

-- name: find_credentials
-- One of the two queries that read the hash of a password.
-- $1 the email, normalised
-- index: idx_users_email
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time,
    password_hash, password_change_time, sign_up_request_id
FROM users
WHERE email = $1;

-- name: find_for_log_in
-- The other query that reads the hash of a password: an account, if there is one, and the failures of its email.
-- $1 the email, normalised, $2 the email, hashed
-- index: idx_users_email, log_in_failures_pkey
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time, u.password_hash, u.password_change_time, u.sign_up_request_id,
    coalesce(f.failures, 0) AS failures
FROM (SELECT) one
LEFT JOIN users u ON u.email = $1
LEFT JOIN log_in_failures f ON f.account = $2;

-- name: insert_signed_in
-- An account with its first session, the session's refresh token and the event, in one statement.
-- $1 user, $2 email, $3 password hash, $4 display name, $5 request id or null
-- $6 session, $7 device label, $8 user agent, $9 address, $10 methods, $11 assurance, $12 the session's lifetime
-- $13 token's id, $14 its digest, $15 event, $16 locale
-- index: none, because it only inserts
WITH "user" AS (
    INSERT INTO users (id, email, password_hash, display_name, sign_up_request_id, locale)
    VALUES ($1, $2, $3, $4, $5, $16)
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), session AS (
    INSERT INTO sessions (id, user_id, device_label, user_agent, address, auth_methods, assurance, expire_time)
    VALUES ($6, $1, $7, $8, $9, $10, $11, now() + $12)
    RETURNING
        device_label, user_agent, address, auth_methods, assurance, auth_time, create_time, expire_time
), token AS (
    INSERT INTO user_tokens (id, user_id, session_id, type, token_digest, expire_time)
    SELECT $13, $1, $6, 'REFRESH', $14, expire_time FROM session
), event AS (
    INSERT INTO audit_events (id, type, user_id, session_id, address) VALUES ($15, 'SIGN_UP', $1, $6, $9)
)
SELECT
    u.id, u.kind, u.email, u.email_verify_time, u.display_name, u.locale, u.roles, u.state, u.purge_time, u.revision,
    u.create_time, u.update_time,
    s.device_label, s.user_agent, s.address, s.auth_methods, s.assurance, s.auth_time,
    s.create_time AS session_create_time, s.expire_time AS session_expire_time
FROM "user" u CROSS JOIN session s;

-- name: update_display_name
-- $1 the user, $2 the new name, $3 the revision it must have, or null, $4 the cache key that this makes stale
-- index: users_pkey
WITH changed AS (
    UPDATE users
    SET display_name = $2, revision = revision + 1, update_time = now()
    WHERE id = $1 AND revision = coalesce($3, revision)
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), debt AS (
    INSERT INTO cache_debts (key) SELECT $4 FROM changed
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM changed;

-- name: update_password_hash
-- Only from the very hash that was verified: a password changed meanwhile stays.
-- $1 the user, $2 the new hash, $3 the former one
-- index: users_pkey
UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3;

-- name: update_roles
-- $1 the email, normalised, $2 the roles, $3 the prefix of the cache key that this makes stale, $4 event
-- index: idx_users_email
WITH changed AS (
    UPDATE users
    SET roles = $2, revision = revision + 1, update_time = now()
    WHERE email = $1
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 || id FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $4, 'ROLES_CHANGED', id, '' FROM changed
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM changed;

-- name: find_by_email
-- $1 the email, normalised
-- index: idx_users_email
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM users
WHERE email = $1;

-- name: verify_email
-- $1 the user, $2 the address that was proven, $3 the cache key that this makes stale, $4 event, $5 network address
-- index: users_pkey or idx_users_email
WITH changed AS (
    UPDATE users
    SET email_verify_time = coalesce(email_verify_time, now()), revision = revision + 1, update_time = now()
    WHERE id = $1 AND email = $2 AND state = 'ACTIVE'
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $4, 'EMAIL_VERIFIED', id, $5 FROM changed
)
SELECT id FROM changed;

-- name: update_email
-- $1 the user, $2 the new address, which was proven, $3 the cache key that this makes stale, $4 event, $5 network address
-- index: users_pkey
WITH changed AS (
    UPDATE users
    SET email = $2, email_verify_time = now(), revision = revision + 1, update_time = now()
    WHERE id = $1 AND state = 'ACTIVE'
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $4, 'EMAIL_CHANGED', id, $5 FROM changed
)
SELECT id FROM changed;

-- name: update_password
-- $1 the user, $2 the new hash, $3 the cache key that this makes stale, $4 event, $5 network address
-- index: users_pkey
WITH changed AS (
    UPDATE users
    SET password_hash = $2, password_change_time = now(), revision = revision + 1, update_time = now()
    WHERE id = $1 AND state = 'ACTIVE'
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $4, 'PASSWORD_CHANGED', id, $5 FROM changed
)
SELECT id FROM changed;

-- name: delete
-- The account is out of use at once, and erased after a time of grace.
-- $1 the user, $2 the time of grace, $3 the cache key that this makes stale, $4 event, $5 network address
-- index: users_pkey
WITH changed AS (
    UPDATE users
    SET state = 'DELETED', purge_time = now() + $2, revision = revision + 1, update_time = now()
    WHERE id = $1 AND state = 'ACTIVE'
    RETURNING
        id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
), debt AS (
    INSERT INTO cache_debts (key) SELECT $3 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $4, 'ACCOUNT_DELETED', id, $5 FROM changed
)
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM changed;

-- name: restore
-- $1 the user, $2 the cache key that this makes stale, $3 event, $4 network address
-- index: users_pkey or users_not_active
WITH changed AS (
    UPDATE users
    SET state = 'ACTIVE', purge_time = NULL, revision = revision + 1, update_time = now()
    WHERE id = $1 AND state = 'DELETED'
    RETURNING id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $2 FROM changed
), event AS (
    INSERT INTO audit_events (id, type, user_id, address) SELECT $3, 'ACCOUNT_RESTORED', id, $4 FROM changed
)
SELECT id FROM changed;

-- name: erase
-- Clean-up: accounts whose grace is over go with all that hangs on them; of their events nothing is left that names a
-- person or a place.
-- $1 how many, $2 the prefix of the cache key that this makes stale
-- index: users_not_active, audit_events_user_id
WITH doomed AS (
    SELECT id FROM users
    WHERE state = 'DELETED' AND state <> 'ACTIVE' AND purge_time < now()
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), event AS (
    UPDATE audit_events e SET address = '', details = '{}' FROM doomed WHERE e.user_id = doomed.id
), debt AS (
    INSERT INTO cache_debts (key) SELECT $2 || id FROM doomed
), deleted AS (
    DELETE FROM users u USING doomed WHERE u.id = doomed.id RETURNING u.id
)
SELECT count(*) FROM deleted;

-- name: newest
-- $1 the id to go on after, or null, $2 how many
-- index: users_pkey
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM users
WHERE id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
ORDER BY id DESC
LIMIT $2;

-- name: by_email
-- $1 the beginning of the email, $2 its end: the greatest text that begins so, $3 the email to go on after, $4 how many
-- index: users_email_prefix
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM users
WHERE lower(email) ~>=~ $1 AND lower(email) ~<=~ $2 AND lower(email) ~>~ $3
ORDER BY lower(email) USING ~<~
LIMIT $4;

-- name: by_display_name
-- $1 the beginning of the name in lower case, $2 the greatest text that begins so
-- $3 and $4 the name and the id to go on after, $5 how many
-- index: users_display_name_prefix
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM users
WHERE
    lower(display_name) ~>=~ $1 AND lower(display_name) ~<=~ $2
    AND (lower(display_name) ~>~ $3 OR (lower(display_name) = $3 AND id > $4))
ORDER BY lower(display_name) USING ~<~, id
LIMIT $5;

-- name: by_state
-- $1 the state, which is not ACTIVE, $2 the id to go on after, or null, $3 how many
-- index: users_not_active
SELECT
    id, kind, email, email_verify_time, display_name, locale, roles, state, purge_time, revision, create_time, update_time
FROM users
WHERE state = $1 AND state <> 'ACTIVE' AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
ORDER BY id DESC
LIMIT $3;

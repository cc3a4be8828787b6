-- name: insert
-- An event that no change makes, such as a failure.
-- $1 event, $2 type, $3 the user, $4 an administrator or null, $5 address, $6 more about it
-- index: none, because it only inserts
INSERT INTO audit_events (id, type, user_id, actor_id, address, details) VALUES ($1, $2, $3, $4, $5, $6);

-- name: list_all
-- $1 the first moment and $2 the one after the last, or null, $3 and $4 where to go on after, or null, $5 how many
-- index: audit_events_create_time
SELECT id, type, user_id, session_id, actor_id, address, details, create_time
FROM audit_events
WHERE
    create_time >= coalesce($1, '-infinity'::timestamptz) AND create_time < coalesce($2, 'infinity'::timestamptz)
    AND (create_time, id) < (coalesce($3, 'infinity'::timestamptz), coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
ORDER BY create_time DESC, id DESC
LIMIT $5;

-- name: list_of_user
-- $1 the user, $2 a type or null, $3 the first moment and $4 the one after the last, or null, $5 and $6 where to go on after, or null, $7 how many
-- index: audit_events_user_id
SELECT id, type, user_id, session_id, actor_id, address, details, create_time
FROM audit_events
WHERE
    user_id = $1 AND type = coalesce($2, type)
    AND create_time >= coalesce($3, '-infinity'::timestamptz) AND create_time < coalesce($4, 'infinity'::timestamptz)
    AND (create_time, id) < (coalesce($5, 'infinity'::timestamptz), coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
ORDER BY create_time DESC, id DESC
LIMIT $7;

-- name: list_of_type
-- $1 the type, $2 the first moment and $3 the one after the last, or null, $4 and $5 where to go on after, or null, $6 how many
-- index: audit_events_type
SELECT id, type, user_id, session_id, actor_id, address, details, create_time
FROM audit_events
WHERE
    type = $1
    AND create_time >= coalesce($2, '-infinity'::timestamptz) AND create_time < coalesce($3, 'infinity'::timestamptz)
    AND (create_time, id) < (coalesce($4, 'infinity'::timestamptz), coalesce($5, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
ORDER BY create_time DESC, id DESC
LIMIT $6;

-- name: delete_old
-- Clean-up.
-- $1 how many, $2 how long they are kept
-- index: audit_events_create_time
WITH old AS (
    SELECT id, create_time FROM audit_events
    WHERE create_time < now() - $2::interval
    ORDER BY create_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM audit_events e USING old WHERE e.id = old.id RETURNING e.id
)
SELECT count(*) FROM deleted;

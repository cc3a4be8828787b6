-- name: list_recent
-- A page of what still matters, by id; what commits later under a lower id is heard of.
-- $1 the id to go on after, $2 for how long a revocation matters, $3 how many
-- index: revocations_pkey
SELECT id, kind, subject_id, extract(epoch FROM clock_timestamp() - create_time)::float8 AS age
FROM revocations
WHERE id > $1 AND create_time > clock_timestamp() - $2::interval
ORDER BY id
LIMIT $3;

-- name: delete_old
-- Clean-up.
-- $1 how many, $2 how long they are kept
-- index: revocations_pkey
WITH old AS (
    SELECT id FROM revocations
    WHERE id > 0 AND create_time < clock_timestamp() - $2::interval
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM revocations r USING old WHERE r.id = old.id RETURNING r.id
)
SELECT count(*) FROM deleted;

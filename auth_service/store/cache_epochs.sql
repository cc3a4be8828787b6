-- name: read
-- index: cache_epochs_pkey
SELECT epoch::text AS epoch, server_id, extract(epoch FROM clock_timestamp() - raise_time)::float8 AS age
FROM cache_epochs
WHERE id = 1;

-- name: advance
-- $1 the run_id of the Redis it is raised in the name of, or null for the present one
-- index: cache_epochs_pkey
UPDATE cache_epochs
SET epoch = gen_random_uuid(), server_id = coalesce($1, server_id), raise_time = clock_timestamp()
WHERE id = 1
RETURNING epoch::text AS epoch, server_id, 0::float8 AS age;

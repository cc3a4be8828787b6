-- name: try_lock
-- $1 the number of the task
-- index: none, because it reads no table
SELECT pg_try_advisory_xact_lock($1);

-- name: count
-- $1 the account, hashed
-- index: none, because it only inserts, or counts up what is in its way
INSERT INTO log_in_failures AS f (account, failures) VALUES ($1, 1)
ON CONFLICT (account) DO UPDATE SET failures = f.failures + 1, update_time = now();

-- name: find
-- $1 the account, hashed
-- index: log_in_failures_pkey
SELECT failures FROM log_in_failures WHERE account = $1;

-- name: delete
-- $1 the account, hashed
-- index: log_in_failures_pkey
DELETE FROM log_in_failures WHERE account = $1;

-- name: delete_old
-- Clean-up.
-- $1 how many, $2 how long ago the last failure must have been
-- index: log_in_failures_update_time
WITH old AS (
    SELECT account FROM log_in_failures
    WHERE update_time < now() - $2::interval
    ORDER BY update_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM log_in_failures f USING old WHERE f.account = old.account RETURNING f.account
)
SELECT count(*) FROM deleted;

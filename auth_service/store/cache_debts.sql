-- name: list_due
-- Debts whose writer has had its time to pay; the oldest first.
-- $1 how long a writer has, $2 how many
-- index: cache_debts_pkey
SELECT id, key
FROM cache_debts
WHERE id > 0 AND create_time < now() - $1::interval
ORDER BY id
LIMIT $2;

-- name: delete
-- $1 the debts that were paid
-- index: cache_debts_pkey
DELETE FROM cache_debts WHERE id = any($1::bigint[]);

-- name: list_after
-- In the order in which they were erased.
-- $1 the moment to go on after, or null, $2 how many
-- index: erased_users_pkey
SELECT user_id, erase_time
FROM erased_users
WHERE erase_time > coalesce($1, '-infinity'::timestamptz)
ORDER BY erase_time
LIMIT $2;

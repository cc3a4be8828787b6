-- name: find_last
-- The latest moment of which auth has told.
-- index: erased_users_erase_time_idx
SELECT erase_time FROM erased_users WHERE erase_time > '-infinity' ORDER BY erase_time DESC LIMIT 1;

-- name: insert_many
-- Whom auth tells of again, at a later moment, has been restored there and erased again.
-- $1 users, no two the same, $2 beside each when it was erased
-- index: none, because it only inserts
INSERT INTO erased_users AS e (user_id, erase_time)
SELECT user_id, erase_time FROM unnest($1::uuid[], $2::timestamptz[]) AS told (user_id, erase_time)
ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE SET erase_time = excluded.erase_time, finish_time = NULL
WHERE excluded.erase_time > e.erase_time;

-- name: find_oldest_unfinished
-- How long ago, in seconds, the user was erased who has waited the longest; null where nobody waits.
-- index: erased_users_unfinished_idx
SELECT extract(epoch FROM now() - min(erase_time))::float8 FROM erased_users
WHERE finish_time IS NULL AND erase_time > '-infinity';

-- name: finish
-- Clean-up: users of whom nothing is left. Not before every access token that they may have had has expired.
-- $1 how many, $2 how long a token may live
-- index: erased_users_unfinished_idx, conversations_pkey, ai_usage_pkey, erased_users_pkey
WITH gone AS (
    SELECT e.user_id FROM erased_users AS e
    WHERE
        e.finish_time IS NULL AND e.erase_time < now() - $2::interval
        AND (SELECT c.id FROM conversations AS c WHERE c.user_id = e.user_id LIMIT 1) IS NULL
        AND (SELECT u.day FROM ai_usage AS u WHERE u.user_id = e.user_id LIMIT 1) IS NULL
    ORDER BY e.erase_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
finished AS (
    UPDATE erased_users SET finish_time = now() WHERE user_id = any(array(SELECT user_id FROM gone)) RETURNING user_id
)
SELECT count(*) FROM finished;

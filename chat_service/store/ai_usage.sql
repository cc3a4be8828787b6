-- What users have used. runs.sql and ai_interactions.sql end runs; whoever does adds to it in the same transaction.

-- name: add
-- A run that has ended. What callers record may be as much as a number can be: a sum stops there.
-- $1 user, $2 model, $3 to $7 tokens read, written, cached, reasoned, and the cost
-- index: none, because it only inserts, or adds to the row that the primary key finds
INSERT INTO ai_usage AS u (
    user_id, day, model, runs, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost_micros
)
VALUES ($1, (now() AT TIME ZONE 'UTC')::date, $2, 1, $3, $4, $5, $6, $7)
ON CONFLICT (user_id, day, model) DO UPDATE SET
    runs = u.runs + 1,
    input_tokens = least(u.input_tokens::numeric + excluded.input_tokens, 9223372036854775807)::bigint,
    output_tokens = least(u.output_tokens::numeric + excluded.output_tokens, 9223372036854775807)::bigint,
    cached_input_tokens = least(u.cached_input_tokens::numeric + excluded.cached_input_tokens, 9223372036854775807)::bigint,
    reasoning_tokens = least(u.reasoning_tokens::numeric + excluded.reasoning_tokens, 9223372036854775807)::bigint,
    cost_micros = least(u.cost_micros::numeric + excluded.cost_micros, 9223372036854775807)::bigint;

-- name: list_days
-- A user's days, the newest first, each model by itself.
-- $1 user, $2 the first day, $3 the last, $4 the day and $5 the model to go on after, or null, $6 how many
-- index: ai_usage_pkey
SELECT
    user_id, day, model, runs, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, cost_micros
FROM ai_usage
WHERE
    user_id = $1 AND day >= $2 AND day <= least($3::date, $4::date)
    AND ($4::date IS NULL OR (day, model) < ($4::date, $5::text))
ORDER BY day DESC, model DESC
LIMIT $6;

-- name: list_users
-- What each user used from one day to another, all models together.
-- $1 the user to go on after, $2 the first day, $3 the last, $4 how many
-- index: ai_usage_pkey
SELECT
    user_id, sum(runs)::bigint AS runs,
    least(sum(input_tokens), 9223372036854775807)::bigint AS input_tokens,
    least(sum(output_tokens), 9223372036854775807)::bigint AS output_tokens,
    least(sum(cached_input_tokens), 9223372036854775807)::bigint AS cached_input_tokens,
    least(sum(reasoning_tokens), 9223372036854775807)::bigint AS reasoning_tokens,
    least(sum(cost_micros), 9223372036854775807)::bigint AS cost_micros
FROM ai_usage
WHERE user_id > $1 AND day BETWEEN $2 AND $3
GROUP BY user_id
ORDER BY user_id
LIMIT $4;

-- name: queue_up
-- Lets the requests of a user for answers come one after the other, until the transaction's end: so none passes a quota
-- beside another.
-- $1 user
-- index: none, because it reads no table
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0)) IS NULL;

-- name: count_recent
-- What a user has asked for, from an id on; ids begin with their time.
-- $1 user, $2 the id
-- index: ai_interactions_pkey
SELECT
    count(*) AS runs, coalesce(sum(input_tokens + output_tokens), 0)::bigint AS tokens, min(create_time) AS oldest
FROM ai_interactions
WHERE user_id = $1 AND id >= $2 AND busy_policy IS NOT NULL;

-- name: delete_erased
-- Clean-up: what those used whom auth has erased.
-- $1 how many
-- index: erased_users_unfinished_idx, ai_usage_pkey
WITH doomed AS (
    SELECT u.user_id, u.day, u.model
    FROM erased_users AS e
    CROSS JOIN LATERAL (SELECT user_id, day, model FROM ai_usage WHERE user_id = e.user_id LIMIT $1) AS u
    WHERE e.finish_time IS NULL AND e.erase_time < now()
    LIMIT $1
),
deleted AS (
    DELETE FROM ai_usage AS u USING doomed
    WHERE u.user_id = doomed.user_id AND u.day = doomed.day AND u.model = doomed.model
    RETURNING u.user_id
)
SELECT count(*) FROM deleted;

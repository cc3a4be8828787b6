-- Answers are written and read together with their runs: see ai_interactions.sql.

-- name: delete_purged
-- Clean-up: answers in conversations that are due to go.
-- $1 how many
-- index: conversations_purge_time_idx, idx_ai_responses_conversation_id
WITH doomed AS (
    SELECT r.user_id, r.id
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT user_id, id FROM ai_responses WHERE user_id = c.user_id AND conversation_id = c.id LIMIT $1
    ) AS r
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM ai_responses AS r USING doomed WHERE r.user_id = doomed.user_id AND r.id = doomed.id RETURNING r.id
)
SELECT count(*) FROM deleted;

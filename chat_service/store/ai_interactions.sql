-- A run comes with its answer: of several the last. Both have the conversation and the session in their rows, so the answers
-- to a page of runs are found along the same ids.

-- name: insert
-- A run with its answer, where there is one ($23 is null where there is none); the conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 session, $5 state, $6 model, $7 message or null, $8 to $13 its usage (tokens read,
-- written, cached, reasoned, cost, price list), $14 error code, $15 error message, $16 request_id,
-- $17 to $22 the answer's usage likewise, $23 its id, $24 model, $25 finish reason, $26 microseconds to the first piece,
-- $27 to the end
-- index: conversations_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING user_id, id, revision
),
interaction AS (
    INSERT INTO ai_interactions (
        user_id, id, conversation_id, session_id, state, model, message_id, input_tokens, output_tokens,
        cached_input_tokens, reasoning_tokens, cost_micros, price_version, error_code, error_message, revision,
        request_id, end_time
    )
    SELECT user_id, $3, id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, revision, $16, now()
    FROM conversation
),
response AS (
    INSERT INTO ai_responses (
        user_id, id, interaction_id, conversation_id, session_id, message_id, model, finish_reason, input_tokens,
        output_tokens, cached_input_tokens, reasoning_tokens, cost_micros, price_version, first_token_micros,
        duration_micros
    )
    SELECT user_id, $23::uuid, $3, id, $4, $7, $24, $25, $17, $18, $19, $20, $21, $22, $26, $27
    FROM conversation
    WHERE $23::uuid IS NOT NULL
),
link AS (
    INSERT INTO conversation_sessions (user_id, conversation_id, session_id, revision)
    SELECT user_id, id, $4, revision FROM conversation
    ON CONFLICT (user_id, conversation_id, session_id) DO NOTHING
)
SELECT revision, now() AS create_time FROM conversation;

-- name: find_by_request_id
-- $1 user, $2 conversation, $3 request_id
-- index: ai_interactions_request_id_key
SELECT id FROM ai_interactions WHERE user_id = $1 AND conversation_id = $2 AND request_id = $3;

-- name: find
-- $1 user, $2 id
-- index: ai_interactions_pkey, idx_ai_responses_conversation_id
SELECT
    i.id, i.conversation_id, i.session_id, i.state, i.model, i.message_id, i.input_tokens, i.output_tokens,
    i.cached_input_tokens, i.reasoning_tokens, i.cost_micros, i.price_version, i.error_code, i.error_message,
    i.revision, i.create_time, i.end_time, r.id AS response_id, r.message_id AS response_message_id,
    r.model AS response_model, r.finish_reason AS response_finish_reason, r.input_tokens AS response_input_tokens, r.output_tokens AS
    response_output_tokens, r.cached_input_tokens AS response_cached_input_tokens, r.reasoning_tokens AS
    response_reasoning_tokens, r.cost_micros AS response_cost_micros, r.price_version AS response_price_version,
    r.first_token_micros AS response_first_token_micros, r.duration_micros AS response_duration_micros,
    r.create_time AS response_create_time
FROM ai_interactions AS i
LEFT JOIN LATERAL (
    SELECT
        id, message_id, model, finish_reason, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens,
        cost_micros, price_version, first_token_micros, duration_micros, create_time
    FROM ai_responses
    WHERE user_id = $1 AND conversation_id = i.conversation_id AND interaction_id = i.id
    ORDER BY id DESC
    LIMIT 1
) AS r ON true
WHERE i.user_id = $1 AND i.id = $2;

-- name: list_by_conversation
-- The newest first. Begins with the conversation's row, so that no row at all says that there is none; the row of an empty
-- page has no run.
-- $1 user, $2 conversation, $3 the id to go on after, or null, $4 how many
-- index: conversations_pkey, idx_ai_interactions_conversation_id, idx_ai_responses_conversation_id
SELECT
    i.id, i.conversation_id, i.session_id, i.state, i.model, i.message_id, i.input_tokens, i.output_tokens,
    i.cached_input_tokens, i.reasoning_tokens, i.cost_micros, i.price_version, i.error_code, i.error_message,
    i.revision, i.create_time, i.end_time, r.id AS response_id, r.message_id AS response_message_id,
    r.model AS response_model, r.finish_reason AS response_finish_reason, r.input_tokens AS response_input_tokens, r.output_tokens AS
    response_output_tokens, r.cached_input_tokens AS response_cached_input_tokens, r.reasoning_tokens AS
    response_reasoning_tokens, r.cost_micros AS response_cost_micros, r.price_version AS response_price_version,
    r.first_token_micros AS response_first_token_micros, r.duration_micros AS response_duration_micros,
    r.create_time AS response_create_time
FROM (
    SELECT id FROM conversations WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, conversation_id, session_id, state, model, message_id, input_tokens, output_tokens, cached_input_tokens,
        reasoning_tokens, cost_micros, price_version, error_code, error_message, revision,
        create_time, end_time
    FROM ai_interactions
    WHERE
        user_id = $1 AND conversation_id = $2 AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    ORDER BY id DESC
    LIMIT $4
) AS i ON true
LEFT JOIN LATERAL (
    SELECT
        id, message_id, model, finish_reason, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens,
        cost_micros, price_version, first_token_micros, duration_micros, create_time
    FROM ai_responses
    WHERE user_id = $1 AND conversation_id = i.conversation_id AND interaction_id = i.id
    ORDER BY id DESC
    LIMIT 1
) AS r ON true
ORDER BY i.id DESC;

-- name: list_by_session
-- What one sign-in asked for, the newest first; in one conversation ($5), or in all that are not deleted ($5 null).
-- $1 user, $2 session, $3 the id to go on after, or null, $4 how many, $5 conversation or null
-- index: idx_ai_interactions_session_id, idx_ai_responses_session_id, conversations_pkey
SELECT
    i.id, i.conversation_id, i.session_id, i.state, i.model, i.message_id, i.input_tokens, i.output_tokens,
    i.cached_input_tokens, i.reasoning_tokens, i.cost_micros, i.price_version, i.error_code, i.error_message,
    i.revision, i.create_time, i.end_time, r.id AS response_id, r.message_id AS response_message_id,
    r.model AS response_model, r.finish_reason AS response_finish_reason, r.input_tokens AS response_input_tokens, r.output_tokens AS
    response_output_tokens, r.cached_input_tokens AS response_cached_input_tokens, r.reasoning_tokens AS
    response_reasoning_tokens, r.cost_micros AS response_cost_micros, r.price_version AS response_price_version,
    r.first_token_micros AS response_first_token_micros, r.duration_micros AS response_duration_micros,
    r.create_time AS response_create_time
FROM (
    SELECT
        id, conversation_id, session_id, state, model, message_id, input_tokens, output_tokens, cached_input_tokens,
        reasoning_tokens, cost_micros, price_version, error_code, error_message, revision,
        create_time, end_time
    FROM ai_interactions
    WHERE
        user_id = $1 AND session_id = $2 AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        AND (
            conversation_id = $5
            OR ($5 IS NULL AND (
                SELECT c.delete_time IS NULL FROM conversations AS c
                WHERE c.user_id = $1 AND c.id = ai_interactions.conversation_id
            ))
        )
    ORDER BY id DESC
    LIMIT $4
) AS i
LEFT JOIN LATERAL (
    SELECT
        id, message_id, model, finish_reason, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens,
        cost_micros, price_version, first_token_micros, duration_micros, create_time
    FROM ai_responses
    WHERE user_id = $1 AND session_id = i.session_id AND interaction_id = i.id
    ORDER BY id DESC
    LIMIT 1
) AS r ON true
ORDER BY i.id DESC;

-- name: delete_purged
-- Clean-up: runs in conversations that are due to go, once their answers have gone.
-- $1 how many
-- index: conversations_purge_time_idx, idx_ai_interactions_conversation_id, idx_ai_responses_conversation_id
WITH doomed AS (
    SELECT i.user_id, i.id
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT user_id, id FROM ai_interactions
        WHERE
            user_id = c.user_id AND conversation_id = c.id
            AND (
                SELECT r.id FROM ai_responses AS r
                WHERE r.user_id = c.user_id AND r.conversation_id = c.id AND r.interaction_id = ai_interactions.id
                LIMIT 1
            ) IS NULL
        LIMIT $1
    ) AS i
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM ai_interactions AS i USING doomed WHERE i.user_id = doomed.user_id AND i.id = doomed.id RETURNING i.id
)
SELECT count(*) FROM deleted;

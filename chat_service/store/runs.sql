-- Runs of models by the service itself, in ai_interactions. What must hold:
--
-- 1. At most one run of a conversation is RUNNING, which is to have a worker: ai_interactions_running_key.
-- 2. What is final stays as it is: every statement names the state that it leaves.
-- 3. A worker writes only into a run that it holds: RUNNING, with its fence. Whoever lost it changes no row, and so knows.
-- 4. Every change of state takes the conversation's next revision, holding the conversation's row.
-- 5. `text` is a prefix of what readers were sent, cut at chunk_ends; once a run has ended the message has the text.
-- 6. A run that has ended was recorded whole: state, message, components, attempts and usage in one transaction.

-- name: find_by_request_id
-- The run that a request asked for; no digest where a caller recorded it.
-- $1 user, $2 conversation, $3 request_id
-- index: ai_interactions_request_id_key
SELECT id, request_digest FROM ai_interactions WHERE user_id = $1 AND conversation_id = $2 AND request_id = $3;

-- name: count_active
-- Whether a run is under way in a conversation, and how many wait, as far as that matters.
-- $1 user, $2 conversation, $3 how many to count at most
-- index: ai_interactions_running_key, ai_interactions_queued_idx
SELECT
    (SELECT id FROM ai_interactions WHERE user_id = $1 AND conversation_id = $2 AND worker IS NOT NULL) AS running,
    (
        SELECT count(*) FROM (
            SELECT id FROM ai_interactions
            WHERE user_id = $1 AND conversation_id = $2 AND start_time IS NULL AND end_time IS NULL
            LIMIT $3
        ) AS waiting
    ) AS queued;

-- name: accept
-- A new run, waiting or in the hands of a worker; the conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 session, $5 model, $6 branch, $7 prompt or null, $8 busy policy, $9 parameters,
-- $10 request_id or null, $11 its digest, $12 state: 1 queued or 2 running, $13 worker, $14 how long the lease is,
-- $15 the answer in whose place it writes, or null
-- index: conversations_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING user_id, id, revision
),
link AS (
    INSERT INTO conversation_sessions (user_id, conversation_id, session_id, revision)
    SELECT user_id, id, $4, revision FROM conversation
    ON CONFLICT (user_id, conversation_id, session_id) DO NOTHING
),
accepted AS (
    INSERT INTO ai_interactions (
        user_id, id, conversation_id, session_id, state, model, revision, request_id, busy_policy, branch, prompt_id,
        parameters, request_digest, start_time, worker, lease_expire_time, fence, replaces_id
    )
    SELECT
        user_id, $3, id, $4, $12, $5, revision, $10, $8, $6, $7, $9::text::json, $11,
        CASE WHEN $12::smallint = 2 THEN now() END,
        CASE WHEN $12::smallint = 2 THEN $13::uuid END,
        CASE WHEN $12::smallint = 2 THEN now() + $14::interval END,
        CASE WHEN $12::smallint = 2 THEN 1 ELSE 0 END,
        $15::uuid
    FROM conversation
)
SELECT revision FROM conversation;

-- name: claim
-- Takes the run of a conversation whose turn it is, if none is under way; the conversation is locked. Those that
-- interrupt come first.
-- $1 user, $2 conversation, $3 worker, $4 how long the lease is
-- index: conversations_pkey, ai_interactions_queued_idx, ai_interactions_running_key
WITH next AS (
    SELECT id FROM ai_interactions
    WHERE user_id = $1 AND conversation_id = $2 AND start_time IS NULL AND end_time IS NULL
    ORDER BY (busy_policy = 3) DESC, id
    LIMIT 1
),
conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE
        user_id = $1 AND id = $2 AND (SELECT id FROM next) IS NOT NULL
        AND (
            SELECT r.id FROM ai_interactions AS r
            WHERE r.user_id = $1 AND r.conversation_id = $2 AND r.worker IS NOT NULL
        ) IS NULL
    RETURNING revision
)
UPDATE ai_interactions AS i
SET
    state = 2, fence = i.fence + 1, worker = $3, start_time = now(), lease_expire_time = now() + $4::interval,
    revision = conversation.revision
FROM conversation
WHERE i.user_id = $1 AND i.id = (SELECT id FROM next) AND i.state = 1
RETURNING
    i.id, i.user_id, i.conversation_id, i.session_id, i.model, i.branch, i.prompt_id, i.replaces_id,
    i.parameters::text AS parameters, i.fence, i.revision;

-- name: list_waiting
-- Conversations in which a run waits and none is under way; those of deleted conversations wait on.
-- $1 how many
-- index: ai_interactions_waiting_idx, ai_interactions_running_key, conversations_pkey
SELECT q.user_id, q.conversation_id
FROM ai_interactions AS q
WHERE
    q.state = 1 AND q.create_time <= now()
    AND (
        SELECT r.id FROM ai_interactions AS r
        WHERE r.user_id = q.user_id AND r.conversation_id = q.conversation_id AND r.worker IS NOT NULL
    ) IS NULL
    AND (
        SELECT c.delete_time IS NULL FROM conversations AS c WHERE c.user_id = q.user_id AND c.id = q.conversation_id
    )
ORDER BY q.create_time
LIMIT $1;

-- name: list_lapsed
-- Runs whose worker gave no news in time.
-- $1 how many
-- index: ai_interactions_held_idx
SELECT
    id, user_id, conversation_id, session_id, model, branch, prompt_id, replaces_id, parameters::text AS parameters,
    fence, text, chunk_ends, input_tokens, output_tokens, stop
FROM ai_interactions
WHERE start_time <= now() AND lease_expire_time < now() AND state = 2
ORDER BY start_time
LIMIT $1;

-- name: checkpoint
-- How far a run has come, and that its worker lives. Answers with the state in which it was asked to end, or 0; with no
-- row where the worker has lost it.
-- $1 user, $2 id, $3 fence, $4 text, $5 chunk_ends, $6 tokens read, $7 written, $8 how long the lease is
-- index: ai_interactions_pkey
UPDATE ai_interactions
SET
    text = $4, chunk_ends = $5, input_tokens = $6, output_tokens = $7, usage_estimated = true,
    lease_expire_time = now() + $8::interval
WHERE user_id = $1 AND id = $2 AND state = 2 AND fence = $3
RETURNING coalesce(stop, 0) AS stop;

-- name: hold
-- Holds a run until the transaction's end, if the worker still has it; the conversation is locked.
-- $1 user, $2 id, $3 fence
-- index: ai_interactions_pkey
SELECT coalesce(stop, 0) AS stop FROM ai_interactions
WHERE user_id = $1 AND id = $2 AND state = 2 AND fence = $3
FOR NO KEY UPDATE;

-- name: lock_conversation
-- As conversations.lock, also where the conversation has been deleted: what is under way there ends all the same.
-- $1 user, $2 id
-- index: conversations_pkey
SELECT id FROM conversations WHERE user_id = $1 AND id = $2 FOR NO KEY UPDATE;

-- name: end
-- The end of a run that its worker, or who ends it in the worker's place, holds; the conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 fence, $5 state, $6 chunk_ends, $7 message or null, $8 to $13 its usage (tokens
-- read, written, cached, reasoned, cost, price list), $14 whether it is estimated, $15 error code, $16 error message,
-- $17 components, $18 the versions beside them
-- index: conversations_pkey, ai_interactions_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING revision
),
ended AS (
    UPDATE ai_interactions AS i
    SET
        state = $5, text = '', chunk_ends = $6, message_id = $7, input_tokens = $8, output_tokens = $9,
        cached_input_tokens = $10, reasoning_tokens = $11, cost_micros = $12, price_version = $13,
        usage_estimated = $14, error_code = $15, error_message = $16, component_ids = $17, component_versions = $18,
        end_time = now(), worker = NULL, lease_expire_time = NULL, revision = conversation.revision
    FROM conversation
    WHERE i.user_id = $1 AND i.id = $3 AND i.state = 2 AND i.fence = $4
)
SELECT revision FROM conversation;

-- name: find_untitled
-- What the user said first in a conversation without a title; nothing where it has one, or has gone on for long.
-- $1 user, $2 conversation, $3 the message that a run answered
-- index: conversations_pkey, chat_messages_pkey
SELECT m.parts
FROM conversations AS c
INNER JOIN chat_messages AS m ON m.user_id = $1 AND m.id = $3
WHERE c.user_id = $1 AND c.id = $2 AND c.title = '' AND c.message_count <= 3;

-- name: entitle
-- The conversation is locked.
-- $1 user, $2 conversation, $3 title
-- index: conversations_pkey
UPDATE conversations
SET title = $3, revision = revision + 1, etag_revision = revision + 1, update_time = now()
WHERE user_id = $1 AND id = $2;

-- name: add_attempt
-- One request to a provider, of a run that ends.
-- $1 user, $2 conversation, $3 interaction, $4 session, $5 message or null, $6 to $11 its usage, $12 whether it is
-- estimated, $13 id, $14 provider, $15 model, $16 finish reason, $17 error code, $18 microseconds to the first piece,
-- $19 to the end
-- index: none, because it only adds a row
INSERT INTO ai_responses (
    user_id, conversation_id, interaction_id, session_id, message_id, input_tokens, output_tokens, cached_input_tokens,
    reasoning_tokens, cost_micros, price_version, usage_estimated, id, provider, model, finish_reason, error_code,
    first_token_micros, duration_micros
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19);

-- name: ask_to_stop
-- Asks the worker of a run that is under way to end it in a state; who asked first is right. Answers with the worker.
-- $1 user, $2 id, $3 state: 5 cancelled or 6 interrupted
-- index: ai_interactions_pkey
UPDATE ai_interactions SET stop = coalesce(stop, $3)
WHERE user_id = $1 AND id = $2 AND state = 2
RETURNING worker;

-- name: cancel_queued
-- Ends a run that waits; the conversation is locked.
-- $1 user, $2 conversation, $3 id
-- index: conversations_pkey, ai_interactions_pkey or ai_interactions_queued_idx
WITH waiting AS (
    SELECT id FROM ai_interactions
    WHERE user_id = $1 AND conversation_id = $2 AND id = $3 AND start_time IS NULL AND end_time IS NULL
    FOR NO KEY UPDATE
),
conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2 AND (SELECT id FROM waiting) IS NOT NULL
    RETURNING revision
),
ended AS (
    UPDATE ai_interactions AS i SET state = 5, end_time = now(), revision = conversation.revision
    FROM conversation
    WHERE i.user_id = $1 AND i.id = $3
)
SELECT revision FROM conversation;

-- name: find
-- What is stored of an answer.
-- $1 user, $2 id
-- index: ai_interactions_pkey
SELECT
    id, conversation_id, state, busy_policy IS NOT NULL AS generated, create_time, start_time, text, chunk_ends, message_id,
    component_ids, component_versions, worker
FROM ai_interactions
WHERE user_id = $1 AND id = $2;

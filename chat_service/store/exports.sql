-- What an export reads, in pages. A conversation goes on while it is exported: what was written after its first line was
-- read is told apart by positions, which are given in the order of commits, and by revisions.

-- name: list_conversations
-- The newest first.
-- $1 user, $2 the id to go on after, or null, $3 whether deleted ones too, $4 how many
-- index: conversations_pkey
SELECT
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch,
    branch_count, message_count, revision, create_time, update_time, delete_time
FROM conversations
WHERE
    user_id = $1 AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    AND (delete_time IS NULL OR ($3 AND purge_time > now()))
ORDER BY user_id DESC, id DESC
LIMIT $4;

-- name: find_conversation
-- $1 user, $2 id
-- index: conversations_pkey
SELECT
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch,
    branch_count, message_count, revision, create_time, update_time, delete_time
FROM conversations
WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now());

-- name: list_branches
-- $1 user, $2 conversation, $3 the branch to go on after, $4 the last one, $5 how many
-- index: conversation_branches_pkey
SELECT branch, parent, fork_depth, session_id, create_time
FROM conversation_branches
WHERE user_id = $1 AND conversation_id = $2 AND branch > $3 AND branch <= $4
ORDER BY branch
LIMIT $5;

-- name: list_messages
-- $1 user, $2 conversation, $3 and $4 the branch and depth to go on after, $5 the last position, $6 how many, $7 bytes
-- index: idx_chat_messages_conversation_id
SELECT
    id, session_id, position, branch, depth, role, parts, text_bytes, replaces, feedback_rating, feedback_comment,
    create_time, delete_time
FROM (
    SELECT
        id, session_id, position, branch, depth, role, parts, text_bytes, replaces, feedback_rating, feedback_comment,
        create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY branch, depth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            id, session_id, position, branch, depth, role, parts, text_bytes, replaces, feedback_rating,
            feedback_comment, create_time, delete_time
        FROM chat_messages
        WHERE user_id = $1 AND conversation_id = $2 AND (branch, depth) > ($3, $4) AND position <= $5
        ORDER BY branch, depth
        LIMIT $6
    ) AS following
) AS page
WHERE coalesce(before, 0) <= $7
ORDER BY branch, depth;

-- name: list_components
-- Deleted ones too.
-- $1 user, $2 conversation, $3 the id to go on after, $4 how many
-- index: components_conversation_id_idx
SELECT id, name, type, version, session_id, create_time, update_time, delete_time
FROM components
WHERE user_id = $1 AND conversation_id = $2 AND id > $3
ORDER BY id
LIMIT $4;

-- name: list_versions
-- $1 user, $2 component, $3 the version to go on after, $4 the last one, $5 how many, $6 bytes
-- index: component_versions_pkey
SELECT version, content, session_id, create_time
FROM (
    SELECT
        version, content, session_id, create_time,
        sum(content_bytes) OVER (ORDER BY version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT version, content, content_bytes, session_id, create_time
        FROM component_versions
        WHERE user_id = $1 AND component_id = $2 AND version > $3 AND version <= $4
        ORDER BY version
        LIMIT $5
    ) AS following
) AS page
WHERE coalesce(before, 0) <= $6
ORDER BY version;

-- name: list_interactions
-- Those that had ended by a revision.
-- $1 user, $2 conversation, $3 the id to go on after, $4 the revision, $5 how many
-- index: idx_ai_interactions_conversation_id
SELECT
    id, session_id, state, model, message_id, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens,
    cost_micros, price_version, usage_estimated, error_code, error_message, create_time, end_time
FROM ai_interactions
WHERE user_id = $1 AND conversation_id = $2 AND id > $3 AND state > 2 AND revision <= $4
ORDER BY id
LIMIT $5;

-- name: list_responses
-- The answers of some runs, in the order in which they came; there are few of each.
-- $1 user, $2 conversation, $3 the runs
-- index: idx_ai_responses_conversation_id
SELECT
    r.id, r.interaction_id, r.model, r.finish_reason, r.input_tokens, r.output_tokens, r.cached_input_tokens,
    r.reasoning_tokens, r.cost_micros, r.price_version, r.usage_estimated, r.first_token_micros, r.duration_micros,
    r.provider, r.error_code, r.create_time
FROM unnest($3::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT
        id, interaction_id, model, finish_reason, input_tokens, output_tokens, cached_input_tokens, reasoning_tokens,
        cost_micros, price_version, usage_estimated, first_token_micros, duration_micros, provider, error_code,
        create_time
    FROM ai_responses
    WHERE user_id = $1 AND conversation_id = $2 AND interaction_id = wanted.id
    ORDER BY id
    LIMIT 100
) AS r;

-- name: list_links
-- $1 user, $2 conversation, $3 and $4 the time and session to go on after, $5 how many
-- index: idx_conversation_sessions_conversation_id
SELECT session_id, read_position, create_time, update_time
FROM conversation_sessions
WHERE user_id = $1 AND conversation_id = $2 AND (create_time, session_id) > ($3, $4)
ORDER BY create_time, session_id
LIMIT $5;

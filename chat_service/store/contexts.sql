-- What a model is shown of a conversation.

-- name: list_newest
-- The newest messages on the path of a branch, the newest first.
-- $1 user, $2 conversation, $3 branch, $4 how many
-- index: conversation_branches_pkey, idx_chat_messages_conversation_id
SELECT own.id, own.role, own.parts
FROM (
    SELECT lineage_branches, lineage_depths FROM conversation_branches
    WHERE user_id = $1 AND conversation_id = $2 AND branch = $3
    UNION ALL
    SELECT ARRAY[1], ARRAY[9223372036854775807] WHERE $3 = 1
) AS l
CROSS JOIN LATERAL unnest(l.lineage_branches, l.lineage_depths) AS s (branch, last)
CROSS JOIN LATERAL (
    SELECT id, depth, role, parts FROM chat_messages
    WHERE user_id = $1 AND conversation_id = $2 AND branch = s.branch AND depth <= s.last
    ORDER BY depth DESC
    LIMIT $4
) AS own
ORDER BY own.depth DESC
LIMIT $4;

-- name: list_waiting_prompts
-- The messages that runs of a conversation are to answer which wait.
-- $1 user, $2 conversation
-- index: ai_interactions_queued_idx
SELECT prompt_id FROM ai_interactions
WHERE
    user_id = $1 AND conversation_id = $2 AND start_time IS NULL AND end_time IS NULL AND prompt_id IS NOT NULL
LIMIT 100;

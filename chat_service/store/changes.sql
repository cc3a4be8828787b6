-- What has changed in a conversation since a place in its history. Every change takes the next revision of the conversation
-- while it holds the conversation's row, and stamps the rows that it touched: so whoever has seen all up to a revision
-- lacks exactly the rows that carry a higher one, and a row that was touched again has moved on, never back.

-- name: find_revisions
-- $1 the users, $2 beside each a conversation of theirs
-- index: conversations_pkey
SELECT c.user_id, c.id, c.revision
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (user_id, id)
CROSS JOIN LATERAL (
    SELECT user_id, id, revision FROM conversations
    WHERE user_id = wanted.user_id AND id = wanted.id AND (purge_time IS NULL OR purge_time > now())
    LIMIT 1
) AS c;

-- name: list_since
-- What each row is and where, in the order of revisions, and within one in the order of kinds and ids. Each part gives as
-- many rows as the whole: what is cut off is behind everything that is not. `weight` is about what a row costs to read, in
-- bytes.
-- $1 user, $2 conversation, $3 revision to go on after, $4 to $8 the id to go on after within that revision, for messages,
-- components, runs, sign-ins and branches (a branch's id is its number), $9 the last revision, $10 how many
-- index: chat_messages_revision_idx, components_revision_idx, ai_interactions_revision_idx, idx_conversation_sessions_conversation_id, conversation_branches_pkey
SELECT kind, revision, id, weight FROM (
    (
        SELECT 1 AS kind, revision, id, text_bytes + 1000 AS weight FROM chat_messages
        WHERE
            user_id = $1 AND conversation_id = $2 AND (revision, id) > ($3::bigint, $4::uuid)
            AND revision > 0 AND revision <= $9::bigint
        ORDER BY revision, id
        LIMIT $10
    )
    UNION ALL
    (
        SELECT 2 AS kind, revision, id, 100000 AS weight FROM components
        WHERE
            user_id = $1 AND conversation_id = $2 AND (revision, id) > ($3::bigint, $5::uuid)
            AND revision > 0 AND revision <= $9::bigint
        ORDER BY revision, id
        LIMIT $10
    )
    UNION ALL
    (
        SELECT 3 AS kind, revision, id, 20000 AS weight FROM ai_interactions
        WHERE
            user_id = $1 AND conversation_id = $2 AND (revision, id) > ($3::bigint, $6::uuid)
            AND revision > 0 AND revision <= $9::bigint
        ORDER BY revision, id
        LIMIT $10
    )
    UNION ALL
    (
        SELECT 4 AS kind, revision, session_id AS id, 20000 AS weight FROM conversation_sessions
        WHERE
            user_id = $1 AND conversation_id = $2 AND (revision, session_id) > ($3::bigint, $7::uuid)
            AND revision <= $9::bigint
        ORDER BY revision, session_id
        LIMIT $10
    )
    UNION ALL
    (
        SELECT 5 AS kind, b.revision, b.id, 1000 AS weight
        FROM (
            SELECT revision, lpad(to_hex(branch), 32, '0')::uuid AS id FROM conversation_branches
            WHERE user_id = $1 AND conversation_id = $2 AND revision BETWEEN $3::bigint AND $9::bigint
        ) AS b
        WHERE (b.revision, b.id) > ($3::bigint, $8::uuid)
        ORDER BY b.revision, b.id
        LIMIT $10
    )
) AS touched
ORDER BY revision, kind, id
LIMIT $10;

-- name: list_conversations
-- Conversations that have changed behind a time and an id, the one that changed longest ago first; with the time of the
-- question, up to which everything is told but what commits later than it began.
-- $1 the users, $2 and $3 beside each the time and the id, $4 how many of each
-- index: conversations_active_hour_idx
SELECT wanted.nth, now() AS asked, c.id, c.revision, c.update_time
FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS wanted (user_id, after_time, after_id, nth)
LEFT JOIN LATERAL (
    SELECT id, revision, update_time
    FROM conversations
    WHERE
        user_id = wanted.user_id AND active_hour > '-infinity'
        AND active_hour > wanted.after_time - interval '1 hour'
        AND (update_time, id) > (wanted.after_time, wanted.after_id)
        AND (purge_time IS NULL OR purge_time > now())
    ORDER BY active_hour, update_time, id
    LIMIT $4
) AS c ON true
ORDER BY wanted.nth, c.update_time, c.id;

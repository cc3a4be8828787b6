-- Links are made by whatever a sign-in writes into a conversation, and by reading. A conversation's lists begin with its
-- row, so that no row at all says that there is none; the row of an empty page has no link.

-- name: mark_read
-- Reads on, which takes a revision, or leaves a link that has read as far; makes it where it is missing. Writes nothing
-- where the conversation is deleted or the position is beyond its end, and answers nothing where there is no conversation.
-- The revision is counted as `append` counts it (chat_messages.sql): the row is locked, then updated by key.
-- $1 user, $2 conversation, $3 session, $4 position
-- index: conversations_pkey
WITH conversation AS MATERIALIZED (
    SELECT user_id, id, message_count, revision, delete_time IS NOT NULL AS deleted
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
    FOR NO KEY UPDATE
),
link AS (
    INSERT INTO conversation_sessions AS s (user_id, conversation_id, session_id, read_position, revision)
    SELECT user_id, id, $3, $4, revision + 1 FROM conversation WHERE NOT deleted AND message_count >= $4
    ON CONFLICT (user_id, conversation_id, session_id) DO UPDATE SET
        read_position = greatest(s.read_position, excluded.read_position),
        revision = CASE WHEN excluded.read_position > s.read_position THEN excluded.revision ELSE s.revision END,
        update_time = CASE WHEN excluded.read_position > s.read_position THEN now() ELSE s.update_time END
    RETURNING user_id, conversation_id, session_id, read_position, revision, create_time, update_time
),
counted AS (
    INSERT INTO conversations AS c (user_id, id)
    SELECT c.user_id, c.id FROM conversation AS c INNER JOIN link ON link.revision > c.revision
    ON CONFLICT (user_id, id) DO UPDATE SET revision = c.revision + 1, update_time = now()
)
SELECT
    c.deleted, c.message_count, link.revision > c.revision AS changed, link.conversation_id, link.session_id,
    link.read_position, link.revision, link.create_time, link.update_time
FROM conversation AS c
LEFT JOIN link ON true;

-- name: find_many
-- $1 the users, $2 and $3 beside each a conversation of theirs and a session
-- index: conversation_sessions_pkey or idx_conversation_sessions_session_id
SELECT l.user_id, l.conversation_id, l.session_id, l.read_position
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS wanted (user_id, conversation_id, session_id)
CROSS JOIN LATERAL (
    SELECT user_id, conversation_id, session_id, read_position FROM conversation_sessions
    WHERE
        user_id = wanted.user_id AND conversation_id = wanted.conversation_id AND session_id = wanted.session_id
    LIMIT 1
) AS l;

-- name: list_by_conversation
-- $1 user, $2 conversation, $3 and $4 the time and session to go on after, or null, $5 how many, $6 session or null
-- index: conversations_pkey, idx_conversation_sessions_conversation_id
SELECT
    c.message_count, s.conversation_id, s.session_id, s.read_position, s.revision, s.create_time, s.update_time
FROM (
    SELECT message_count FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT conversation_id, session_id, read_position, revision, create_time, update_time
    FROM conversation_sessions
    WHERE
        user_id = $1 AND conversation_id = $2
        AND (create_time, session_id) < (
            coalesce($3, 'infinity'::timestamptz), coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        )
        AND session_id = coalesce($6, session_id)
    ORDER BY create_time DESC, session_id DESC
    LIMIT $5
) AS s ON true
ORDER BY s.create_time DESC, s.session_id DESC;

-- name: list_by_session
-- The links of one sign-in, those of deleted conversations excepted.
-- $1 user, $2 session, $3 and $4 the time and conversation to go on after, or null, $5 how many
-- index: idx_conversation_sessions_session_id, conversations_pkey
SELECT
    c.message_count, s.conversation_id, s.session_id, s.read_position, s.revision, s.create_time, s.update_time
FROM conversation_sessions AS s
CROSS JOIN LATERAL (
    SELECT message_count FROM conversations
    WHERE user_id = $1 AND id = s.conversation_id AND delete_time IS NULL
    LIMIT 1
) AS c
WHERE
    s.user_id = $1 AND s.session_id = $2
    AND (s.create_time, s.conversation_id) < (
        coalesce($3, 'infinity'::timestamptz), coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    )
ORDER BY s.create_time DESC, s.conversation_id DESC
LIMIT $5;

-- name: delete_purged
-- Clean-up: links of conversations that are due to go.
-- $1 how many
-- index: conversations_purge_time_idx, idx_conversation_sessions_conversation_id
WITH doomed AS (
    SELECT s.user_id, s.conversation_id, s.session_id
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT user_id, conversation_id, session_id FROM conversation_sessions
        WHERE user_id = c.user_id AND conversation_id = c.id
        LIMIT $1
    ) AS s
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM conversation_sessions AS s USING doomed
    WHERE
        s.user_id = doomed.user_id AND s.conversation_id = doomed.conversation_id AND s.session_id = doomed.session_id
    RETURNING s.session_id
)
SELECT count(*) FROM deleted;

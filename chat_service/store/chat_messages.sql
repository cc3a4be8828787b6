-- The invariant: the positions of a conversation are 1 to message_count, without a gap and without a duplicate; the order
-- of positions is the order of commits; a request_id names one message of its conversation for ever.
--
-- How `append` keeps it. The conversation's row is locked before its counters are read, and they are read from the locked
-- row, so whoever waits goes on from what the one before has committed. Every statement locks its conversations in one
-- order, so two batches never wait for each other. The statement's snapshot may be older than the lock it waited for: a
-- request_id that another statement has just committed is then not seen here, and the unique index refuses. That rolls
-- everything back, the counters with it, and when it is tried again the snapshot shows the first message.

-- name: append
-- Many messages, to any number of conversations. Tells of each whether it was placed and where, or why not.
-- $1 and $2 the users and the conversations, each pair once and in their order; for each message: $3 the number of its
-- pair, $4 id, $5 session, $6 role, $7 parts, $8 bytes of text, $9 request_id or null
-- index: conversations_pkey, chat_messages_request_id_key
WITH item AS MATERIALIZED (
    SELECT
        i.nth, i.place, i.id, i.session_id, i.role, i.parts, i.text_bytes, i.request_id,
        i.request_id IS NOT NULL AND (
            SELECT m.id FROM chat_messages AS m
            WHERE
                m.user_id = ($1::uuid[])[i.place] AND m.conversation_id = ($2::uuid[])[i.place]
                AND m.request_id = i.request_id
            LIMIT 1
        ) IS NOT NULL AS repeated
    FROM unnest(
        $3::integer[], $4::uuid[], $5::uuid[], $6::smallint[], $7::text[], $8::integer[], $9::text[]
    ) WITH ORDINALITY AS i (place, id, session_id, role, parts, text_bytes, request_id, nth)
),
wanted AS (
    SELECT
        place, ($1::uuid[])[place] AS user_id, ($2::uuid[])[place] AS conversation_id,
        count(*) FILTER (WHERE NOT repeated) AS items
    FROM item
    GROUP BY place
    ORDER BY place
),
locked AS MATERIALIZED (
    SELECT
        wanted.place, wanted.items, wanted.user_id, wanted.conversation_id, c.message_count, c.active_branch,
        c.active_depth, c.revision, c.delete_time
    FROM wanted
    LEFT JOIN LATERAL (
        SELECT message_count, active_branch, active_depth, revision, delete_time
        FROM conversations
        WHERE
            user_id = wanted.user_id AND id = wanted.conversation_id AND wanted.items > 0
            AND (purge_time IS NULL OR purge_time > now())
        FOR NO KEY UPDATE
    ) AS c ON true
),
-- Never inserts, as the rows are locked: it is an update by key whose plan does not depend on statistics. UPDATE … FROM
-- is planned as a join, and while the tables are new that means to read all conversations for every batch.
counted AS (
    INSERT INTO conversations AS c (user_id, id, message_count, active_depth, revision)
    SELECT user_id, conversation_id, items, items, items FROM locked WHERE revision IS NOT NULL AND delete_time IS NULL
    ON CONFLICT (user_id, id) DO UPDATE SET
        message_count = c.message_count + excluded.message_count,
        active_depth = c.active_depth + excluded.active_depth,
        revision = c.revision + excluded.revision,
        update_time = now()
),
placed AS MATERIALIZED (
    SELECT
        i.nth, l.user_id, l.conversation_id, i.id, i.session_id, i.role, i.parts, i.text_bytes, i.request_id,
        l.active_branch AS branch,
        l.message_count + count(*) FILTER (WHERE NOT i.repeated) OVER so_far AS position,
        l.active_depth + count(*) FILTER (WHERE NOT i.repeated) OVER so_far AS depth,
        l.revision + count(*) FILTER (WHERE NOT i.repeated) OVER so_far AS revision,
        CASE
            WHEN i.repeated THEN 'REPEATED'
            WHEN l.revision IS NULL THEN 'MISSING'
            WHEN l.delete_time IS NOT NULL THEN 'DELETED'
            ELSE 'PLACED'
        END AS outcome
    FROM item AS i
    INNER JOIN locked AS l ON l.place = i.place
    WINDOW so_far AS (PARTITION BY i.place ORDER BY i.nth)
),
appended AS (
    INSERT INTO chat_messages (
        user_id, id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes, request_id
    )
    SELECT
        user_id, id, conversation_id, session_id, position, branch, depth, revision, role, parts::jsonb, text_bytes,
        request_id
    FROM placed
    WHERE outcome = 'PLACED'
),
linked AS (
    INSERT INTO conversation_sessions (user_id, conversation_id, session_id, revision)
    SELECT user_id, conversation_id, session_id, min(revision) FROM placed WHERE outcome = 'PLACED'
    GROUP BY user_id, conversation_id, session_id
    ON CONFLICT (user_id, conversation_id, session_id) DO NOTHING
)
SELECT outcome, position, branch, depth, revision, now() AS create_time FROM placed ORDER BY nth;

-- name: find_many
-- $1 the users, $2 beside each a message of theirs
-- index: chat_messages_pkey
SELECT
    m.user_id, m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts,
    m.create_time
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (user_id, id)
CROSS JOIN LATERAL (
    SELECT
        user_id, id, conversation_id, session_id, position, branch, depth, revision, role, parts, create_time
    FROM chat_messages
    WHERE user_id = wanted.user_id AND id = wanted.id
    LIMIT 1
) AS m;

-- name: find_many_by_request_id
-- $1 the users, $2 and $3 beside each a conversation of theirs and a request_id in it
-- index: chat_messages_request_id_key
SELECT
    m.user_id, m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts,
    m.create_time, m.request_id
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS wanted (user_id, conversation_id, request_id)
CROSS JOIN LATERAL (
    SELECT
        user_id, id, conversation_id, session_id, position, branch, depth, revision, role, parts, create_time,
        request_id
    FROM chat_messages
    WHERE
        user_id = wanted.user_id AND conversation_id = wanted.conversation_id AND request_id = wanted.request_id
    LIMIT 1
) AS m;

-- Pages. A page of a conversation begins with the conversation's row, so that no row at all says that there is none; the
-- row of an empty page has no message. `before` counts the bytes of text in front of a message on the page: the page ends
-- with the first message that passes the limit, and that one is cut off by the caller, who then knows that there is more.

-- name: list_forwards
-- A branch, the oldest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of text
-- index: conversations_pkey, idx_chat_messages_conversation_id
SELECT
    m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes, m.create_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY depth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time
        FROM chat_messages
        WHERE
            user_id = $1 AND conversation_id = $2 AND branch = c.branch AND depth > $4
        ORDER BY depth
        LIMIT $5
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth;

-- name: list_backwards
-- A branch, the newest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of text
-- index: conversations_pkey, idx_chat_messages_conversation_id
SELECT
    m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes, m.create_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY depth DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time
        FROM chat_messages
        WHERE
            user_id = $1 AND conversation_id = $2 AND branch = c.branch AND depth < $4
        ORDER BY depth DESC
        LIMIT $5
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth DESC;

-- name: list_role_forwards
-- One role's messages on a branch, the oldest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of text, $7 role
-- index: conversations_pkey, idx_chat_messages_role
SELECT
    m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes, m.create_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY depth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time
        FROM chat_messages
        WHERE
            user_id = $1 AND conversation_id = $2 AND branch = c.branch AND role = $7 AND depth > $4
        ORDER BY depth
        LIMIT $5
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth;

-- name: list_role_backwards
-- One role's messages on a branch, the newest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of text, $7 role
-- index: conversations_pkey, idx_chat_messages_role
SELECT
    m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes, m.create_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY depth DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time
        FROM chat_messages
        WHERE
            user_id = $1 AND conversation_id = $2 AND branch = c.branch AND role = $7 AND depth < $4
        ORDER BY depth DESC
        LIMIT $5
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth DESC;

-- name: list_session_forwards
-- What one sign-in wrote on a branch, the oldest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the position to go on after, $5 how many,
-- $6 bytes of text, $7 session, $8 role or null
-- index: conversations_pkey, idx_chat_messages_session_id
SELECT
    m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes, m.create_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time
        FROM chat_messages
        WHERE
            user_id = $1 AND session_id = $7 AND conversation_id = $2 AND branch = c.branch AND position > $4
            AND role = coalesce($8::smallint, role)
        ORDER BY position
        LIMIT $5
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.position;

-- name: list_session_backwards
-- What one sign-in wrote on a branch, the newest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the position to go on after, $5 how many,
-- $6 bytes of text, $7 session, $8 role or null
-- index: conversations_pkey, idx_chat_messages_session_id
SELECT
    m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes, m.create_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY position DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time
        FROM chat_messages
        WHERE
            user_id = $1 AND session_id = $7 AND conversation_id = $2 AND branch = c.branch AND position < $4
            AND role = coalesce($8::smallint, role)
        ORDER BY position DESC
        LIMIT $5
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.position DESC;

-- name: list_everywhere_forwards
-- What one sign-in wrote in all conversations that are not deleted, the oldest first.
-- $1 user, $2 session, $3 the id to go on after, $4 how many, $5 bytes of text, $6 role or null
-- index: idx_chat_messages_session_order, conversations_pkey
SELECT
    m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes,
    m.create_time
FROM (
    SELECT
        id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            w.id, w.conversation_id, w.session_id, w.position, w.branch, w.depth, w.revision, w.role, w.parts,
            w.text_bytes, w.create_time
        FROM chat_messages AS w
        WHERE
            w.user_id = $1 AND w.session_id = $2 AND w.id > $3 AND w.role = coalesce($6::smallint, w.role)
            AND (
                SELECT c.delete_time IS NULL FROM conversations AS c
                WHERE c.user_id = $1 AND c.id = w.conversation_id
            )
        ORDER BY w.id
        LIMIT $4
    ) AS page
) AS m
WHERE coalesce(m.before, 0) <= $5
ORDER BY m.id;

-- name: list_everywhere_backwards
-- What one sign-in wrote in all conversations that are not deleted, the newest first.
-- $1 user, $2 session, $3 the id to go on after, $4 how many, $5 bytes of text, $6 role or null
-- index: idx_chat_messages_session_order, conversations_pkey
SELECT
    m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes,
    m.create_time
FROM (
    SELECT
        id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes, create_time,
        sum(text_bytes) OVER (ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            w.id, w.conversation_id, w.session_id, w.position, w.branch, w.depth, w.revision, w.role, w.parts,
            w.text_bytes, w.create_time
        FROM chat_messages AS w
        WHERE
            w.user_id = $1 AND w.session_id = $2 AND w.id < $3 AND w.role = coalesce($6::smallint, w.role)
            AND (
                SELECT c.delete_time IS NULL FROM conversations AS c
                WHERE c.user_id = $1 AND c.id = w.conversation_id
            )
        ORDER BY w.id DESC
        LIMIT $4
    ) AS page
) AS m
WHERE coalesce(m.before, 0) <= $5
ORDER BY m.id DESC;

-- name: delete_purged
-- Clean-up: messages of conversations that are due to go. Nobody else changes them any more.
-- $1 how many
-- index: conversations_purge_time_idx, idx_chat_messages_conversation_id, chat_messages_pkey
WITH doomed AS (
    SELECT m.user_id, m.id
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT user_id, id FROM chat_messages
        WHERE user_id = c.user_id AND conversation_id = c.id
        ORDER BY branch, depth
        LIMIT $1
    ) AS m
    WHERE c.purge_time <= now()
    LIMIT $1
),
deleted AS (
    DELETE FROM chat_messages AS m USING doomed WHERE m.user_id = doomed.user_id AND m.id = doomed.id RETURNING m.id
)
SELECT count(*) FROM deleted;

-- The invariant: the positions of a conversation are 1 to message_count, without a gap and without a duplicate; the order
-- of positions is the order of commits; a request_id names one message of its conversation for ever.
--
-- How `append` keeps it. The conversation's row is locked before its counters are read, and they are read from the locked
-- row, so whoever waits goes on from what the one before has committed. Every statement locks its conversations in one
-- order, so two batches never wait for each other. The statement's snapshot may be older than the lock it waited for: a
-- request_id that another statement has just committed is then not seen here, and the unique index refuses. That rolls
-- everything back, the counters with it, and when it is tried again the snapshot shows the first message.
--
-- What is added to a branch, changed or deleted by several statements holds the conversation's row since a statement before
-- (conversations.lock): each of them then sees all that others have committed. conversation_branches.sql says what holds
-- of branches and depths.

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
-- index: chat_messages_pkey, conversations_pkey
SELECT
    m.user_id, m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts,
    m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time, m.branch_count
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (user_id, id)
CROSS JOIN LATERAL (
    SELECT
        t.user_id, t.id, t.conversation_id, t.session_id, t.position, t.branch, t.depth, t.revision, t.role, t.parts,
        t.replaces, t.feedback_rating, t.feedback_comment, t.create_time, t.delete_time,
        (
            SELECT c.branch_count FROM conversations AS c
            WHERE c.user_id = wanted.user_id AND c.id = t.conversation_id
        ) AS branch_count
    FROM chat_messages AS t
    WHERE t.user_id = wanted.user_id AND t.id = wanted.id
    LIMIT 1
) AS m;

-- name: find_many_by_request_id
-- $1 the users, $2 and $3 beside each a conversation of theirs and a request_id in it
-- index: chat_messages_request_id_key, conversations_pkey
SELECT
    m.user_id, m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts,
    m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time, m.branch_count, m.request_id
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS wanted (user_id, conversation_id, request_id)
CROSS JOIN LATERAL (
    SELECT
        t.user_id, t.id, t.conversation_id, t.session_id, t.position, t.branch, t.depth, t.revision, t.role, t.parts,
        t.replaces, t.feedback_rating, t.feedback_comment, t.create_time, t.delete_time, t.request_id,
        (
            SELECT c.branch_count FROM conversations AS c
            WHERE c.user_id = wanted.user_id AND c.id = t.conversation_id
        ) AS branch_count
    FROM chat_messages AS t
    WHERE
        t.user_id = wanted.user_id AND t.conversation_id = wanted.conversation_id
        AND t.request_id = wanted.request_id
    LIMIT 1
) AS m;

-- name: append_one
-- One message at the end of a branch. The conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 session, $5 role, $6 parts, $7 bytes of them, $8 request_id or null,
-- $9 the message in whose place it stands, or null, $10 the branch, or null for the active one
-- index: conversations_pkey, idx_chat_messages_conversation_id, conversation_branches_pkey
WITH conversation AS (
    UPDATE conversations
    SET
        message_count = message_count + 1, revision = revision + 1, update_time = now(),
        active_depth = active_depth + (active_branch = coalesce($10::integer, active_branch))::integer
    WHERE user_id = $1 AND id = $2
    RETURNING user_id, id, message_count, revision, active_branch, active_depth
),
place AS (
    SELECT
        c.user_id, c.id, c.message_count AS position, c.revision, coalesce($10::integer, c.active_branch) AS branch,
        CASE
            WHEN c.active_branch = coalesce($10::integer, c.active_branch) THEN c.active_depth
            ELSE 1 + coalesce(
                (
                    SELECT m.depth FROM chat_messages AS m
                    WHERE m.user_id = $1 AND m.conversation_id = $2 AND m.branch = $10::integer
                    ORDER BY m.depth DESC LIMIT 1
                ),
                (
                    SELECT b.fork_depth FROM conversation_branches AS b
                    WHERE b.user_id = $1 AND b.conversation_id = $2 AND b.branch = $10::integer
                ),
                0
            )
        END AS depth
    FROM conversation AS c
),
appended AS (
    INSERT INTO chat_messages (
        user_id, id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes,
        request_id, replaces
    )
    SELECT user_id, $3, id, $4, position, branch, depth, revision, $5, $6::text::jsonb, $7, $8, $9 FROM place
),
linked AS (
    INSERT INTO conversation_sessions (user_id, conversation_id, session_id, revision)
    SELECT user_id, id, $4, revision FROM place
    ON CONFLICT (user_id, conversation_id, session_id) DO NOTHING
)
SELECT position, branch, depth, revision, now() AS create_time FROM place;

-- name: delete
-- Leaves a tombstone in a message's place. The conversation is locked.
-- $1 user, $2 conversation, $3 id
-- index: conversations_pkey, chat_messages_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING revision
)
UPDATE chat_messages AS m
SET
    parts = '[]', text_bytes = 0, feedback_rating = NULL, feedback_comment = NULL, delete_time = now(),
    revision = conversation.revision
FROM conversation
WHERE m.user_id = $1 AND m.id = $3
RETURNING m.revision, m.delete_time;

-- name: set_feedback
-- The conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 rating, $5 comment, both null for none
-- index: conversations_pkey, chat_messages_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING revision
)
UPDATE chat_messages AS m
SET feedback_rating = $4, feedback_comment = $5, revision = conversation.revision
FROM conversation
WHERE m.user_id = $1 AND m.id = $3
RETURNING m.revision;

-- name: list_siblings
-- For each message that has alternatives the branches that they stand on, its own among them, in the order in which they
-- were written. Alternatives share the message before them: one stands on that one's branch, the others each begin a
-- branch that leaves it there. The branches of a conversation are read once, for all of its messages.
-- $1 and $2 the users and the conversations, each pair once; for each message: $3 the number of its pair, $4 its branch,
-- $5 its depth
-- index: conversation_branches_pkey, idx_chat_messages_conversation_id
WITH fork AS MATERIALIZED (
    SELECT h.place, b.branch, b.parent, b.fork_depth + 1 AS depth
    FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS h (user_id, conversation_id, place)
    CROSS JOIN LATERAL (
        SELECT branch, parent, fork_depth FROM conversation_branches
        WHERE user_id = h.user_id AND conversation_id = h.conversation_id
    ) AS b
),
message AS MATERIALIZED (
    SELECT i.nth, i.place, i.depth, coalesce(own.parent, i.branch) AS parent
    FROM unnest($3::integer[], $4::integer[], $5::bigint[]) WITH ORDINALITY AS i (place, branch, depth, nth)
    LEFT JOIN fork AS own ON own.place = i.place AND own.branch = i.branch AND own.depth = i.depth
),
alternative AS (
    SELECT m.nth, m.place, f.branch, m.depth
    FROM message AS m
    INNER JOIN fork AS f ON f.place = m.place AND f.parent = m.parent AND f.depth = m.depth
    UNION
    SELECT m.nth, m.place, m.parent, m.depth
    FROM message AS m
    INNER JOIN fork AS f ON f.place = m.place AND f.parent = m.parent AND f.depth = m.depth
)
SELECT a.nth, array_agg(a.branch ORDER BY s.position) AS branches
FROM alternative AS a
CROSS JOIN LATERAL (
    SELECT position FROM chat_messages
    WHERE
        user_id = ($1::uuid[])[a.place] AND conversation_id = ($2::uuid[])[a.place] AND branch = a.branch
        AND depth = a.depth
    LIMIT 1
) AS s
GROUP BY a.nth
HAVING count(*) > 1;

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
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM chat_messages AS m USING doomed WHERE m.user_id = doomed.user_id AND m.id = doomed.id RETURNING m.id
)
SELECT count(*) FROM deleted;

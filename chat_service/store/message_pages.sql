-- Pages of messages. A page of a conversation begins with the conversation's row, so that no row at all says that there is
-- none, and a branch beyond branch_count that there is no such branch; the row of an empty page has no message. `before`
-- counts the bytes of parts in front of a message on the page: the page ends with the first message that passes the limit,
-- and that one is cut off by the caller, who then knows that there is more.
--
-- A page of a branch goes along its lineage: of each branch there, the messages up to the depth where the path leaves it
-- (conversation_branches.sql). Depths on a path have no gap, so a page of so many messages is as many depths: one range of
-- the index for each branch that it touches, and none for the others. Most conversations have the trunk alone: it is a part
-- of its own in each query, one range that nothing has to sort.

-- name: list_forwards
-- A branch, the oldest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of parts
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_conversation_id
SELECT
    c.branch AS path_branch, c.branch_count, m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role,
    m.parts, m.text_bytes, m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch, branch_count
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces, feedback_rating,
        feedback_comment, create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY depth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        (
            SELECT
                id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                feedback_rating, feedback_comment, create_time, delete_time
            FROM chat_messages
            WHERE
                c.branch = 1 AND user_id = $1 AND conversation_id = $2 AND branch = 1 AND depth > $4
            ORDER BY depth
            LIMIT $5
        )
        UNION ALL
        (
            SELECT
                own.id, own.session_id, own.position, own.branch, own.depth, own.revision, own.role, own.parts,
                own.text_bytes, own.replaces, own.feedback_rating, own.feedback_comment, own.create_time,
                own.delete_time
            FROM conversation_branches AS l
            CROSS JOIN LATERAL unnest(l.lineage_branches, l.lineage_depths) AS s (branch, last)
            CROSS JOIN LATERAL (
                SELECT
                    id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                    feedback_rating, feedback_comment, create_time, delete_time
                FROM chat_messages
                WHERE
                    user_id = $1 AND conversation_id = $2 AND branch = s.branch
                    AND depth > $4 AND depth <= least(s.last, $4 + $5)
                ORDER BY depth
                LIMIT $5
            ) AS own
            WHERE
                c.branch > 1 AND l.user_id = $1 AND l.conversation_id = $2 AND l.branch = c.branch AND s.last > $4
            ORDER BY own.depth
            LIMIT $5
        )
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth;

-- name: list_backwards
-- A branch, the newest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of parts
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_conversation_id
SELECT
    c.branch AS path_branch, c.branch_count, m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role,
    m.parts, m.text_bytes, m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch, branch_count
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces, feedback_rating,
        feedback_comment, create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY depth DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        (
            SELECT
                id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                feedback_rating, feedback_comment, create_time, delete_time
            FROM chat_messages
            WHERE
                c.branch = 1 AND user_id = $1 AND conversation_id = $2 AND branch = 1 AND depth < $4
            ORDER BY depth DESC
            LIMIT $5
        )
        UNION ALL
        (
            SELECT
                own.id, own.session_id, own.position, own.branch, own.depth, own.revision, own.role, own.parts,
                own.text_bytes, own.replaces, own.feedback_rating, own.feedback_comment, own.create_time,
                own.delete_time
            FROM conversation_branches AS l
            CROSS JOIN LATERAL (
                SELECT least($4, 1 + coalesce((
                    SELECT depth FROM chat_messages
                    WHERE user_id = $1 AND conversation_id = $2 AND branch = c.branch
                    ORDER BY depth DESC LIMIT 1
                ), l.fork_depth)) AS depth
                OFFSET 0
            ) AS e
            CROSS JOIN LATERAL unnest(l.lineage_branches, l.lineage_depths) AS s (branch, last)
            CROSS JOIN LATERAL (
                SELECT
                    id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                    feedback_rating, feedback_comment, create_time, delete_time
                FROM chat_messages
                WHERE
                    user_id = $1 AND conversation_id = $2 AND branch = s.branch
                    AND depth < e.depth AND depth >= e.depth - $5 AND depth <= s.last
                ORDER BY depth DESC
                LIMIT $5
            ) AS own
            WHERE
                c.branch > 1 AND l.user_id = $1 AND l.conversation_id = $2 AND l.branch = c.branch
            ORDER BY own.depth DESC
            LIMIT $5
        )
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth DESC;

-- name: list_role_forwards
-- One role's messages on a branch, the oldest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of parts, $7 role
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_role
SELECT
    c.branch AS path_branch, c.branch_count, m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role,
    m.parts, m.text_bytes, m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch, branch_count
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces, feedback_rating,
        feedback_comment, create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY depth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        (
            SELECT
                id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                feedback_rating, feedback_comment, create_time, delete_time
            FROM chat_messages
            WHERE
                c.branch = 1 AND user_id = $1 AND conversation_id = $2 AND branch = 1 AND role = $7 AND depth > $4
            ORDER BY depth
            LIMIT $5
        )
        UNION ALL
        (
            SELECT
                own.id, own.session_id, own.position, own.branch, own.depth, own.revision, own.role, own.parts,
                own.text_bytes, own.replaces, own.feedback_rating, own.feedback_comment, own.create_time,
                own.delete_time
            FROM conversation_branches AS l
            CROSS JOIN LATERAL unnest(l.lineage_branches, l.lineage_depths) AS s (branch, last)
            CROSS JOIN LATERAL (
                SELECT
                    id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                    feedback_rating, feedback_comment, create_time, delete_time
                FROM chat_messages
                WHERE
                    user_id = $1 AND conversation_id = $2 AND branch = s.branch AND role = $7
                    AND depth > $4 AND depth <= s.last
                ORDER BY depth
                LIMIT $5
            ) AS own
            WHERE
                c.branch > 1 AND l.user_id = $1 AND l.conversation_id = $2 AND l.branch = c.branch AND s.last > $4
            ORDER BY own.depth
            LIMIT $5
        )
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth;

-- name: list_role_backwards
-- One role's messages on a branch, the newest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the depth to go on after, $5 how many,
-- $6 bytes of parts, $7 role
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_role
SELECT
    c.branch AS path_branch, c.branch_count, m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role,
    m.parts, m.text_bytes, m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch, branch_count
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces, feedback_rating,
        feedback_comment, create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY depth DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        (
            SELECT
                id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                feedback_rating, feedback_comment, create_time, delete_time
            FROM chat_messages
            WHERE
                c.branch = 1 AND user_id = $1 AND conversation_id = $2 AND branch = 1 AND role = $7 AND depth < $4
            ORDER BY depth DESC
            LIMIT $5
        )
        UNION ALL
        (
            SELECT
                own.id, own.session_id, own.position, own.branch, own.depth, own.revision, own.role, own.parts,
                own.text_bytes, own.replaces, own.feedback_rating, own.feedback_comment, own.create_time,
                own.delete_time
            FROM conversation_branches AS l
            CROSS JOIN LATERAL unnest(l.lineage_branches, l.lineage_depths) AS s (branch, last)
            CROSS JOIN LATERAL (
                SELECT
                    id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                    feedback_rating, feedback_comment, create_time, delete_time
                FROM chat_messages
                WHERE
                    user_id = $1 AND conversation_id = $2 AND branch = s.branch AND role = $7
                    AND depth < $4 AND depth <= s.last
                ORDER BY depth DESC
                LIMIT $5
            ) AS own
            WHERE
                c.branch > 1 AND l.user_id = $1 AND l.conversation_id = $2 AND l.branch = c.branch
            ORDER BY own.depth DESC
            LIMIT $5
        )
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.depth DESC;

-- name: list_session_forwards
-- What one sign-in wrote on a branch, the oldest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the position to go on after, $5 how many,
-- $6 bytes of parts, $7 session, $8 role or null
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_session_id
SELECT
    c.branch AS path_branch, c.branch_count, m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role,
    m.parts, m.text_bytes, m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch, branch_count
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces, feedback_rating,
        feedback_comment, create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            own.id, own.session_id, own.position, own.branch, own.depth, own.revision, own.role, own.parts,
            own.text_bytes, own.replaces, own.feedback_rating, own.feedback_comment, own.create_time,
            own.delete_time
        FROM (
            SELECT lineage_branches, lineage_depths FROM conversation_branches
            WHERE user_id = $1 AND conversation_id = $2 AND branch = c.branch
            UNION ALL
            SELECT ARRAY[1], ARRAY[9223372036854775807] WHERE c.branch = 1
        ) AS l
        CROSS JOIN LATERAL (
            SELECT
                id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                feedback_rating, feedback_comment, create_time, delete_time
            FROM chat_messages
            WHERE
                user_id = $1 AND session_id = $7 AND conversation_id = $2 AND position > $4
                AND depth <= l.lineage_depths[array_position(l.lineage_branches, branch)]
                AND role = coalesce($8::smallint, role)
            ORDER BY position
            LIMIT $5
        ) AS own
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.position;

-- name: list_session_backwards
-- What one sign-in wrote on a branch, the newest first.
-- $1 user, $2 conversation, $3 branch or 0 for the active one, $4 the position to go on after, $5 how many,
-- $6 bytes of parts, $7 session, $8 role or null
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_session_id
SELECT
    c.branch AS path_branch, c.branch_count, m.id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role,
    m.parts, m.text_bytes, m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time
FROM (
    SELECT coalesce(nullif($3::integer, 0), active_branch) AS branch, branch_count
    FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces, feedback_rating,
        feedback_comment, create_time, delete_time,
        sum(text_bytes) OVER (ORDER BY position DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            own.id, own.session_id, own.position, own.branch, own.depth, own.revision, own.role, own.parts,
            own.text_bytes, own.replaces, own.feedback_rating, own.feedback_comment, own.create_time,
            own.delete_time
        FROM (
            SELECT lineage_branches, lineage_depths FROM conversation_branches
            WHERE user_id = $1 AND conversation_id = $2 AND branch = c.branch
            UNION ALL
            SELECT ARRAY[1], ARRAY[9223372036854775807] WHERE c.branch = 1
        ) AS l
        CROSS JOIN LATERAL (
            SELECT
                id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
                feedback_rating, feedback_comment, create_time, delete_time
            FROM chat_messages
            WHERE
                user_id = $1 AND session_id = $7 AND conversation_id = $2 AND position < $4
                AND depth <= l.lineage_depths[array_position(l.lineage_branches, branch)]
                AND role = coalesce($8::smallint, role)
            ORDER BY position DESC
            LIMIT $5
        ) AS own
    ) AS page
) AS m ON coalesce(m.before, 0) <= $6
ORDER BY m.position DESC;

-- name: list_everywhere_forwards
-- What one sign-in wrote in all conversations that are not deleted, the oldest first.
-- $1 user, $2 session, $3 the id to go on after, $4 how many, $5 bytes of parts, $6 role or null
-- index: idx_chat_messages_session_order, conversations_pkey
SELECT
    m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes,
    m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time, m.branch_count
FROM (
    SELECT
        id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
        feedback_rating, feedback_comment, create_time, delete_time, branch_count,
        sum(text_bytes) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            w.id, w.conversation_id, w.session_id, w.position, w.branch, w.depth, w.revision, w.role, w.parts,
            w.text_bytes, w.replaces, w.feedback_rating, w.feedback_comment, w.create_time, w.delete_time,
            c.branch_count
        FROM chat_messages AS w
        CROSS JOIN LATERAL (
            SELECT branch_count FROM conversations
            WHERE user_id = $1 AND id = w.conversation_id AND delete_time IS NULL
            LIMIT 1
        ) AS c
        WHERE w.user_id = $1 AND w.session_id = $2 AND w.id > $3 AND w.role = coalesce($6::smallint, w.role)
        ORDER BY w.id
        LIMIT $4
    ) AS page
) AS m
WHERE coalesce(m.before, 0) <= $5
ORDER BY m.id;

-- name: list_everywhere_backwards
-- What one sign-in wrote in all conversations that are not deleted, the newest first.
-- $1 user, $2 session, $3 the id to go on after, $4 how many, $5 bytes of parts, $6 role or null
-- index: idx_chat_messages_session_order, conversations_pkey
SELECT
    m.id, m.conversation_id, m.session_id, m.position, m.branch, m.depth, m.revision, m.role, m.parts, m.text_bytes,
    m.replaces, m.feedback_rating, m.feedback_comment, m.create_time, m.delete_time, m.branch_count
FROM (
    SELECT
        id, conversation_id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
        feedback_rating, feedback_comment, create_time, delete_time, branch_count,
        sum(text_bytes) OVER (ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            w.id, w.conversation_id, w.session_id, w.position, w.branch, w.depth, w.revision, w.role, w.parts,
            w.text_bytes, w.replaces, w.feedback_rating, w.feedback_comment, w.create_time, w.delete_time,
            c.branch_count
        FROM chat_messages AS w
        CROSS JOIN LATERAL (
            SELECT branch_count FROM conversations
            WHERE user_id = $1 AND id = w.conversation_id AND delete_time IS NULL
            LIMIT 1
        ) AS c
        WHERE w.user_id = $1 AND w.session_id = $2 AND w.id < $3 AND w.role = coalesce($6::smallint, w.role)
        ORDER BY w.id DESC
        LIMIT $4
    ) AS page
) AS m
WHERE coalesce(m.before, 0) <= $5
ORDER BY m.id DESC;

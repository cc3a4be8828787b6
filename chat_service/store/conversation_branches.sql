-- The invariants. The branches of a conversation are 1 to branch_count, and 1, the trunk, has no row. A branch is never
-- changed or removed, but for messages that are added at its end. Its path is what the branches of its lineage hold up to
-- the depths there; the depths along every path are 1 to the depth of its leaf, without a gap and without a duplicate,
-- and positions grow along it. A branch's parent owns the message at fork_depth, so two messages are alternatives exactly
-- where one stands on the parent at fork_depth + 1 and the other begins a branch there, or both begin one. active_depth is
-- the depth of the active branch's leaf.
--
-- How they are kept. Whoever makes a branch, switches to one or adds to one holds the conversation's row: `append` within
-- its one statement, all others since a statement before. So fork, activate and append_one see every message that others
-- have committed, and a leaf that one of them has found is the leaf until the transaction's end. An append that waited for
-- an edit or a switch reads active_branch and active_depth from the row that it then locks, so it goes to the new branch
-- and not to the one that was active when it was asked for; and never beside it: an edit switches and writes its message
-- in one transaction, so nobody is appended to its branch before that message. The unique index on branch and depth refuses
-- what would break this.

-- name: fork
-- A branch that leaves a path, and is active from now on. The conversation is locked. Makes none where there are as many as
-- there may be.
-- $1 user, $2 conversation, $3 session, $4 the branch whose path it leaves, $5 the depth after which, $6 how many there
-- may be
-- index: conversations_pkey, conversation_branches_pkey
WITH conversation AS (
    UPDATE conversations
    SET
        branch_count = branch_count + 1, active_branch = branch_count + 1, active_depth = $5, revision = revision + 1,
        update_time = now()
    WHERE user_id = $1 AND id = $2 AND branch_count < $6
    RETURNING user_id, id, branch_count AS branch, revision
),
shared AS (
    SELECT
        coalesce(array_agg(s.branch ORDER BY s.nth), '{}') AS branches,
        coalesce(array_agg(least(s.depth, $5) ORDER BY s.nth), '{}') AS depths
    FROM (
        SELECT lineage_branches, lineage_depths FROM conversation_branches
        WHERE user_id = $1 AND conversation_id = $2 AND branch = $4
        UNION ALL
        SELECT ARRAY[1], ARRAY[9223372036854775807] WHERE $4 = 1
    ) AS l
    CROSS JOIN LATERAL unnest(l.lineage_branches, l.lineage_depths) WITH ORDINALITY AS s (branch, depth, nth)
    WHERE coalesce(l.lineage_depths[s.nth::integer - 1], 0) < $5
)
INSERT INTO conversation_branches (
    user_id, conversation_id, branch, parent, fork_depth, lineage_branches, lineage_depths, revision, session_id
)
SELECT
    c.user_id, c.id, c.branch, coalesce(s.branches[cardinality(s.branches)], 1), $5, s.branches || c.branch,
    s.depths || 9223372036854775807, c.revision, $3
FROM conversation AS c
CROSS JOIN shared AS s
RETURNING branch;

-- name: activate
-- Where there is such a branch. The conversation is locked.
-- $1 user, $2 conversation, $3 branch
-- index: conversations_pkey, idx_chat_messages_conversation_id, conversation_branches_pkey
UPDATE conversations
SET
    active_branch = $3, revision = revision + (active_branch <> $3)::integer,
    update_time = CASE WHEN active_branch = $3 THEN update_time ELSE now() END,
    active_depth = coalesce(
        (
            SELECT m.depth FROM chat_messages AS m
            WHERE m.user_id = $1 AND m.conversation_id = $2 AND m.branch = $3
            ORDER BY m.depth DESC LIMIT 1
        ),
        (
            SELECT b.fork_depth FROM conversation_branches AS b
            WHERE b.user_id = $1 AND b.conversation_id = $2 AND b.branch = $3
        ),
        0
    )
WHERE user_id = $1 AND id = $2 AND branch_count >= $3
RETURNING active_branch;

-- name: list
-- The branches of a conversation, the trunk first. Begins with the conversation's row, so that no row at all says that
-- there is none; the row of an empty page has no branch.
-- $1 user, $2 conversation, $3 the branch to go on after, or 0, $4 how many
-- index: conversations_pkey, conversation_branches_pkey, idx_chat_messages_conversation_id
SELECT
    c.active_branch, b.branch, b.parent, b.fork_depth, b.session_id, b.revision, b.create_time,
    coalesce(leaf.depth, b.fork_depth) AS leaf_depth
FROM (
    SELECT active_branch, create_time FROM conversations
    WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT branch, parent, fork_depth, session_id, revision, create_time
    FROM (
        SELECT
            1 AS branch, 0 AS parent, 0::bigint AS fork_depth, NULL::uuid AS session_id, 1::bigint AS revision,
            c.create_time
        WHERE $3::integer < 1
        UNION ALL
        SELECT branch, parent, fork_depth, session_id, revision, create_time
        FROM (
            SELECT branch, parent, fork_depth, session_id, revision, create_time
            FROM conversation_branches
            WHERE user_id = $1 AND conversation_id = $2 AND branch > $3::integer
            ORDER BY branch
            LIMIT $4
        ) AS others
    ) AS everyone
    ORDER BY branch
    LIMIT $4
) AS b ON true
LEFT JOIN LATERAL (
    SELECT depth FROM chat_messages
    WHERE user_id = $1 AND conversation_id = $2 AND branch = b.branch
    ORDER BY depth DESC
    LIMIT 1
) AS leaf ON true
ORDER BY b.branch;

-- name: delete_purged
-- Clean-up: branches of conversations that are due to go.
-- $1 how many
-- index: conversations_purge_time_idx, conversation_branches_pkey
WITH doomed AS (
    SELECT b.user_id, b.conversation_id, b.branch
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT user_id, conversation_id, branch FROM conversation_branches
        WHERE user_id = c.user_id AND conversation_id = c.id
        LIMIT $1
    ) AS b
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM conversation_branches AS b USING doomed
    WHERE b.user_id = doomed.user_id AND b.conversation_id = doomed.conversation_id AND b.branch = doomed.branch
    RETURNING b.branch
)
SELECT count(*) FROM deleted;

-- Whoever changes a component holds the lock of its conversation (conversations.lock): so the versions of one have no gap,
-- and what is read under the lock is the present state.

-- name: find
-- A component at its current version.
-- $1 user, $2 id
-- index: components_pkey, component_versions_pkey
SELECT
    k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, v.content, v.content_hash, k.revision,
    k.create_time, k.update_time, k.delete_time
FROM components AS k
INNER JOIN component_versions AS v ON v.user_id = $1 AND v.component_id = k.id AND v.version = k.version
WHERE k.user_id = $1 AND k.id = $2;

-- name: find_by_name
-- The component that has a name now, at its current version.
-- $1 user, $2 conversation, $3 name
-- index: components_name_key or idx_components_current, component_versions_pkey
SELECT
    k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, v.content, v.content_hash, k.revision,
    k.create_time, k.update_time, k.delete_time
FROM components AS k
INNER JOIN component_versions AS v ON v.user_id = $1 AND v.component_id = k.id AND v.version = k.version
WHERE k.user_id = $1 AND k.conversation_id = $2 AND k.name = $3 AND k.delete_time IS NULL;

-- name: find_by_request_id
-- A component as a request made it: at its first version.
-- $1 user, $2 conversation, $3 request_id
-- index: components_request_id_key, component_versions_pkey
SELECT k.id, k.name, k.type, v.content_hash
FROM components AS k
INNER JOIN component_versions AS v ON v.user_id = $1 AND v.component_id = k.id AND v.version = 1
WHERE k.user_id = $1 AND k.conversation_id = $2 AND k.request_id = $3;

-- name: insert
-- A component with its first version; the conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 session, $5 name, $6 type, $7 content, $8 bytes of it, $9 its hash, $10 request_id
-- index: conversations_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING user_id, id, revision
),
component AS (
    INSERT INTO components (user_id, id, conversation_id, session_id, name, type, revision, request_id)
    SELECT user_id, $3, id, $4, $5, $6, revision, $10 FROM conversation
),
version AS (
    INSERT INTO component_versions (user_id, component_id, version, content, content_bytes, content_hash, session_id)
    SELECT user_id, $3, 1, $7, $8, $9, $4 FROM conversation
),
link AS (
    INSERT INTO conversation_sessions (user_id, conversation_id, session_id, revision)
    SELECT user_id, id, $4, revision FROM conversation
    ON CONFLICT (user_id, conversation_id, session_id) DO NOTHING
)
SELECT revision, now() AS create_time FROM conversation;

-- name: update
-- A new version of a component; the conversation is locked.
-- $1 user, $2 conversation, $3 id, $4 session, $5 the new version, $6 content, $7 bytes of it, $8 its hash
-- index: conversations_pkey, components_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING user_id, id, revision
),
component AS (
    UPDATE components AS k
    SET version = $5, session_id = $4, revision = conversation.revision, update_time = now()
    FROM conversation
    WHERE k.user_id = $1 AND k.id = $3
),
version AS (
    INSERT INTO component_versions (user_id, component_id, version, content, content_bytes, content_hash, session_id)
    SELECT user_id, $3, $5, $6, $7, $8, $4 FROM conversation
),
link AS (
    INSERT INTO conversation_sessions (user_id, conversation_id, session_id, revision)
    SELECT user_id, id, $4, revision FROM conversation
    ON CONFLICT (user_id, conversation_id, session_id) DO NOTHING
)
SELECT revision, now() AS update_time FROM conversation;

-- name: delete
-- The conversation is locked.
-- $1 user, $2 conversation, $3 id
-- index: conversations_pkey, components_pkey
WITH conversation AS (
    UPDATE conversations SET revision = revision + 1, update_time = now()
    WHERE user_id = $1 AND id = $2
    RETURNING revision
)
UPDATE components AS k
SET revision = conversation.revision, delete_time = now()
FROM conversation
WHERE k.user_id = $1 AND k.id = $3
RETURNING k.revision, k.delete_time;

-- Pages, the newest first. A page of a conversation begins with the conversation's row, so that no row at all says that
-- there is none; the row of an empty page has no component. `before` counts the bytes of content in front of a component
-- on the page: the page ends with the first that passes the limit, and that one is cut off by the caller.

-- name: list_current
-- The current components of a conversation.
-- $1 user, $2 conversation, $3 the id to go on after, or null, $4 how many, $5 bytes of content
-- index: conversations_pkey, idx_components_current, component_versions_pkey
SELECT
    p.id, p.conversation_id, p.session_id, p.name, p.type, p.version, p.content, p.content_hash, p.content_bytes,
    p.revision, p.create_time, p.update_time, p.delete_time
FROM (
    SELECT id FROM conversations WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, k.revision, k.create_time,
        k.update_time, k.delete_time, v.content, v.content_hash, v.content_bytes,
        sum(v.content_bytes) OVER (ORDER BY k.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            id, conversation_id, session_id, name, type, version, revision, create_time, update_time, delete_time
        FROM components
        WHERE
            user_id = $1 AND conversation_id = $2 AND delete_time IS NULL
            AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        ORDER BY id DESC
        LIMIT $4
    ) AS k
    CROSS JOIN LATERAL (
        SELECT content, content_hash, content_bytes FROM component_versions
        WHERE user_id = $1 AND component_id = k.id AND version = k.version
        LIMIT 1
    ) AS v
) AS p ON coalesce(p.before, 0) <= $5
ORDER BY p.id DESC;

-- name: list_type
-- The current components of one type.
-- $1 user, $2 conversation, $3 the id to go on after, or null, $4 how many, $5 bytes of content, $6 type
-- index: conversations_pkey, idx_components_type, component_versions_pkey
SELECT
    p.id, p.conversation_id, p.session_id, p.name, p.type, p.version, p.content, p.content_hash, p.content_bytes,
    p.revision, p.create_time, p.update_time, p.delete_time
FROM (
    SELECT id FROM conversations WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, k.revision, k.create_time,
        k.update_time, k.delete_time, v.content, v.content_hash, v.content_bytes,
        sum(v.content_bytes) OVER (ORDER BY k.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            id, conversation_id, session_id, name, type, version, revision, create_time, update_time, delete_time
        FROM components
        WHERE
            user_id = $1 AND conversation_id = $2 AND type = $6 AND delete_time IS NULL
            AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        ORDER BY id DESC
        LIMIT $4
    ) AS k
    CROSS JOIN LATERAL (
        SELECT content, content_hash, content_bytes FROM component_versions
        WHERE user_id = $1 AND component_id = k.id AND version = k.version
        LIMIT 1
    ) AS v
) AS p ON coalesce(p.before, 0) <= $5
ORDER BY p.id DESC;

-- name: list_all
-- The components of a conversation, deleted ones too.
-- $1 user, $2 conversation, $3 the id to go on after, or null, $4 how many, $5 bytes of content,
-- $6 type or null
-- index: conversations_pkey, components_conversation_id_idx, component_versions_pkey
SELECT
    p.id, p.conversation_id, p.session_id, p.name, p.type, p.version, p.content, p.content_hash, p.content_bytes,
    p.revision, p.create_time, p.update_time, p.delete_time
FROM (
    SELECT id FROM conversations WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, k.revision, k.create_time,
        k.update_time, k.delete_time, v.content, v.content_hash, v.content_bytes,
        sum(v.content_bytes) OVER (ORDER BY k.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            id, conversation_id, session_id, name, type, version, revision, create_time, update_time, delete_time
        FROM components
        WHERE
            user_id = $1 AND conversation_id = $2 AND type = coalesce($6, type)
            AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        ORDER BY id DESC
        LIMIT $4
    ) AS k
    CROSS JOIN LATERAL (
        SELECT content, content_hash, content_bytes FROM component_versions
        WHERE user_id = $1 AND component_id = k.id AND version = k.version
        LIMIT 1
    ) AS v
) AS p ON coalesce(p.before, 0) <= $5
ORDER BY p.id DESC;

-- name: list_session
-- Components whose current version one sign-in wrote, in one conversation.
-- $1 user, $2 conversation, $3 the id to go on after, or null, $4 how many, $5 bytes of content, $6 session,
-- $7 type or null, $8 whether deleted ones show
-- index: conversations_pkey, idx_components_session_id, component_versions_pkey
SELECT
    p.id, p.conversation_id, p.session_id, p.name, p.type, p.version, p.content, p.content_hash, p.content_bytes,
    p.revision, p.create_time, p.update_time, p.delete_time
FROM (
    SELECT id FROM conversations WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
) AS c
LEFT JOIN LATERAL (
    SELECT
        k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, k.revision, k.create_time,
        k.update_time, k.delete_time, v.content, v.content_hash, v.content_bytes,
        sum(v.content_bytes) OVER (ORDER BY k.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            id, conversation_id, session_id, name, type, version, revision, create_time, update_time, delete_time
        FROM components
        WHERE
            user_id = $1 AND session_id = $6 AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            AND conversation_id = $2 AND type = coalesce($7, type) AND (delete_time IS NULL OR $8)
        ORDER BY id DESC
        LIMIT $4
    ) AS k
    CROSS JOIN LATERAL (
        SELECT content, content_hash, content_bytes FROM component_versions
        WHERE user_id = $1 AND component_id = k.id AND version = k.version
        LIMIT 1
    ) AS v
) AS p ON coalesce(p.before, 0) <= $5
ORDER BY p.id DESC;

-- name: list_everywhere
-- Components whose current version one sign-in wrote, in all conversations that are not deleted.
-- $1 user, $2 session, $3 the id to go on after, or null, $4 how many, $5 bytes of content, $6 type or null,
-- $7 whether deleted ones show
-- index: idx_components_session_id, component_versions_pkey, conversations_pkey
SELECT
    p.id, p.conversation_id, p.session_id, p.name, p.type, p.version, p.content, p.content_hash, p.content_bytes,
    p.revision, p.create_time, p.update_time, p.delete_time
FROM (
    SELECT
        k.id, k.conversation_id, k.session_id, k.name, k.type, k.version, k.revision, k.create_time,
        k.update_time, k.delete_time, v.content, v.content_hash, v.content_bytes,
        sum(v.content_bytes) OVER (ORDER BY k.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT
            id, conversation_id, session_id, name, type, version, revision, create_time, update_time, delete_time
        FROM components AS w
        WHERE
            w.user_id = $1 AND w.session_id = $2 AND w.id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            AND w.type = coalesce($6, w.type) AND (w.delete_time IS NULL OR $7)
            AND (
                SELECT c.delete_time IS NULL FROM conversations AS c
                WHERE c.user_id = $1 AND c.id = w.conversation_id
            )
        ORDER BY id DESC
        LIMIT $4
    ) AS k
    CROSS JOIN LATERAL (
        SELECT content, content_hash, content_bytes FROM component_versions
        WHERE user_id = $1 AND component_id = k.id AND version = k.version
        LIMIT 1
    ) AS v
) AS p
WHERE coalesce(p.before, 0) <= $5
ORDER BY p.id DESC;

-- name: delete_purged
-- Clean-up: components of conversations that are due to go, once their versions have gone.
-- $1 how many
-- index: conversations_purge_time_idx, components_conversation_id_idx, component_versions_pkey, components_pkey
WITH doomed AS (
    SELECT k.user_id, k.id
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT user_id, id FROM components
        WHERE
            user_id = c.user_id AND conversation_id = c.id
            AND (
                SELECT v.version FROM component_versions AS v
                WHERE v.user_id = components.user_id AND v.component_id = components.id
                LIMIT 1
            ) IS NULL
        LIMIT $1
    ) AS k
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM components AS k USING doomed WHERE k.user_id = doomed.user_id AND k.id = doomed.id RETURNING k.id
)
SELECT count(*) FROM deleted;

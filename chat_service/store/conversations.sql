-- What has passed its purge_time is gone, also before clean-up has come to it.

-- name: find_many
-- $1 the users, $2 beside each a conversation of theirs
-- index: conversations_pkey
SELECT
    c.user_id, c.id, c.title, c.pinned, c.archived, c.metadata, c.model_defaults, c.active_branch, c.message_count, c.revision,
    c.etag_revision, c.create_time, c.update_time, c.delete_time, c.purge_time
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (user_id, id)
CROSS JOIN LATERAL (
    SELECT
        user_id, id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision,
        etag_revision, create_time, update_time, delete_time, purge_time
    FROM conversations
    WHERE user_id = wanted.user_id AND id = wanted.id AND (purge_time IS NULL OR purge_time > now())
    LIMIT 1
) AS c;

-- name: insert
-- Answers nothing where the request_id was used before.
-- $1 user, $2 id, $3 title, $4 pinned, $5 archived, $6 metadata, $7 request_id, $8 its digest, $9 model defaults
-- index: none, because it only adds a row
INSERT INTO conversations (
    user_id, id, title, pinned, archived, metadata, request_id, request_digest, model_defaults
)
VALUES ($1, $2, $3, $4, $5, $6::text::json, $7, $8, $9::text::json)
ON CONFLICT (user_id, request_id) WHERE request_id IS NOT NULL DO NOTHING
RETURNING
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time;

-- name: find_by_request_id
-- $1 user, $2 request_id
-- index: conversations_request_id_key
SELECT
    request_digest, id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision,
    etag_revision, create_time, update_time, delete_time, purge_time
FROM conversations
WHERE user_id = $1 AND request_id = $2;

-- name: list_any
-- Newest first, with filters that leave most of a user's conversations in.
-- $1 user, $2 the id to go on after, or null, $3 whether deleted ones show, $4 pinned or null, $5 archived or null,
-- $6 how many
-- index: conversations_pkey
SELECT
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time
FROM conversations
WHERE
    user_id = $1 AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    AND (delete_time IS NULL OR ($3 AND purge_time > now()))
    AND pinned = coalesce($4, pinned) AND archived = coalesce($5, archived)
ORDER BY user_id DESC, id DESC
LIMIT $6;

-- name: list_pinned
-- $1 user, $2 the id to go on after, or null, $3 whether deleted ones show, $4 archived or null, $5 how many
-- index: conversations_pinned_idx
SELECT
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time
FROM conversations
WHERE
    user_id = $1 AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) AND pinned
    AND (delete_time IS NULL OR ($3 AND purge_time > now()))
    AND archived = coalesce($4, archived)
ORDER BY user_id DESC, id DESC
LIMIT $5;

-- name: list_archived
-- $1 user, $2 the id to go on after, or null, $3 whether deleted ones show, $4 pinned or null, $5 how many
-- index: conversations_archived_idx
SELECT
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time
FROM conversations
WHERE
    user_id = $1 AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) AND archived
    AND (delete_time IS NULL OR ($3 AND purge_time > now()))
    AND pinned = coalesce($4, pinned)
ORDER BY user_id DESC, id DESC
LIMIT $5;

-- name: update
-- $1 user, $2 id, $3 title, $4 pinned, $5 archived, $6 metadata, each null to leave it, $7 the etag_revision or null,
-- $8 model defaults or null
-- index: conversations_pkey
UPDATE conversations
SET
    title = coalesce($3, title), pinned = coalesce($4, pinned), archived = coalesce($5, archived),
    metadata = coalesce($6::text::json, metadata), model_defaults = coalesce($8::text::json, model_defaults), revision = revision + 1, etag_revision = revision + 1,
    update_time = now()
WHERE user_id = $1 AND id = $2 AND delete_time IS NULL AND etag_revision = coalesce($7, etag_revision)
RETURNING
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time;

-- name: delete
-- $1 user, $2 id, $3 how long it can be undeleted
-- index: conversations_pkey
UPDATE conversations
SET revision = revision + 1, update_time = now(), delete_time = now(), purge_time = now() + $3::interval
WHERE user_id = $1 AND id = $2 AND delete_time IS NULL
RETURNING
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time;

-- name: undelete
-- $1 user, $2 id
-- index: conversations_pkey
UPDATE conversations
SET revision = revision + 1, update_time = now(), delete_time = NULL, purge_time = NULL
WHERE user_id = $1 AND id = $2 AND purge_time > now()
RETURNING
    id, title, pinned, archived, metadata::text AS metadata, model_defaults::text AS model_defaults, active_branch, message_count, revision, etag_revision,
    create_time, update_time, delete_time, purge_time;

-- name: lock
-- Whoever writes into a conversation holds its row first. Key shares, which foreign keys take, are not kept waiting.
-- $1 user, $2 id
-- index: conversations_pkey
SELECT delete_time IS NOT NULL AS deleted
FROM conversations
WHERE user_id = $1 AND id = $2 AND (purge_time IS NULL OR purge_time > now())
FOR NO KEY UPDATE;

-- name: delete_purged
-- Clean-up, the last step: what is due to go and has nothing left in it.
-- $1 how many
-- index: conversations_purge_time_idx, conversations_pkey
WITH empty AS (
    SELECT c.user_id, c.id FROM conversations AS c
    WHERE
        c.purge_time <= now() AND c.purge_time > '-infinity'
        AND (
            SELECT m.id FROM chat_messages AS m WHERE m.user_id = c.user_id AND m.conversation_id = c.id LIMIT 1
        ) IS NULL
        AND (
            SELECT k.id FROM components AS k WHERE k.user_id = c.user_id AND k.conversation_id = c.id LIMIT 1
        ) IS NULL
        AND (
            SELECT i.id FROM ai_interactions AS i WHERE i.user_id = c.user_id AND i.conversation_id = c.id LIMIT 1
        ) IS NULL
        AND (
            SELECT s.session_id FROM conversation_sessions AS s
            WHERE s.user_id = c.user_id AND s.conversation_id = c.id LIMIT 1
        ) IS NULL
        AND (
            SELECT b.branch FROM conversation_branches AS b
            WHERE b.user_id = c.user_id AND b.conversation_id = c.id LIMIT 1
        ) IS NULL
    ORDER BY c.purge_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
deleted AS (
    DELETE FROM conversations AS c USING empty WHERE c.user_id = empty.user_id AND c.id = empty.id RETURNING c.id
)
SELECT count(*) FROM deleted;

-- name: doom_erased
-- Clean-up: all conversations of erased users are due to go.
-- $1 how many
-- index: erased_users_unfinished_idx, conversations_pkey
WITH doomed AS (
    SELECT c.user_id, c.id
    FROM erased_users AS e
    CROSS JOIN LATERAL (
        SELECT user_id, id FROM conversations
        WHERE user_id = e.user_id AND (purge_time IS NULL OR purge_time > now())
        LIMIT $1
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS c
    WHERE e.finish_time IS NULL AND e.erase_time > '-infinity'
    ORDER BY e.erase_time
    LIMIT $1
),
changed AS (
    UPDATE conversations AS c
    SET delete_time = coalesce(c.delete_time, now()), purge_time = now(), revision = c.revision + 1
    FROM doomed
    WHERE c.user_id = doomed.user_id AND c.id = doomed.id
    RETURNING c.id
)
SELECT count(*) FROM changed;

-- name: delete_untouched
-- Goes through all conversations, and deletes those that nobody has touched for so long.
-- $1 and $2 the user and the conversation to go on after, $3 how many, $4 how long, $5 how long each can be undeleted
-- index: conversations_pkey
WITH seen AS (
    SELECT user_id, id, delete_time IS NULL AND update_time < now() - $4::interval AS untouched
    FROM conversations
    WHERE (user_id, id) > ($1, $2)
    ORDER BY user_id, id
    LIMIT $3
),
due AS (
    SELECT c.user_id, c.id
    FROM seen
    CROSS JOIN LATERAL (
        SELECT user_id, id FROM conversations
        WHERE user_id = seen.user_id AND id = seen.id
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS c
    WHERE seen.untouched
),
deleted AS (
    UPDATE conversations AS c
    SET revision = c.revision + 1, update_time = now(), delete_time = now(), purge_time = now() + $5::interval
    FROM due
    WHERE c.user_id = due.user_id AND c.id = due.id AND c.delete_time IS NULL AND c.update_time < now() - $4::interval
    RETURNING c.id
)
SELECT
    last.user_id, last.id, (SELECT count(*) FROM deleted) AS deleted
FROM (SELECT) AS one
LEFT JOIN LATERAL (SELECT user_id, id FROM seen ORDER BY user_id DESC, id DESC LIMIT 1) AS last ON true;

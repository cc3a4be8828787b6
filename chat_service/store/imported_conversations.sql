-- How a conversation is imported. `stage` makes its row, with the purge_time -infinity, so that nobody sees it; batches of
-- what is in it follow, each in a transaction that touches the row first; `publish` shows all of it at once. What is
-- neither touched nor published for an hour is abandoned, and goes as deleted conversations do.

-- name: find
-- The conversation that was imported by this name, and the digest of what was said of it; or the user's own of that id,
-- without a digest.
-- $1 user, $2 source, $3 external id, $4 an id or null
-- index: imported_conversations_pkey or imported_conversations_conversation_id_idx, conversations_pkey
SELECT conversation_id, content_digest
FROM (
    SELECT k.conversation_id, k.content_digest FROM imported_conversations AS k
    WHERE k.user_id = $1 AND k.source = $2 AND k.external_id = $3
    UNION ALL
    SELECT o.id, NULL FROM conversations AS o WHERE o.user_id = $1 AND o.id = $4
) AS known
WHERE (
    SELECT c.purge_time IS NULL OR c.purge_time > now() FROM conversations AS c
    WHERE c.user_id = $1 AND c.id = known.conversation_id
)
LIMIT 1;

-- name: stage
-- $1 user, $2 id, $3 title, $4 pinned, $5 archived, $6 metadata, $7 model defaults, $8 when it was made
-- index: none, because it only inserts
INSERT INTO conversations (
    user_id, id, title, pinned, archived, metadata, model_defaults, create_time, update_time, delete_time, purge_time
)
VALUES ($1, $2, $3, $4, $5, $6::text::json, $7::text::json, $8, now(), now(), '-infinity');

-- name: touch
-- Holds a conversation that is being imported; answers nothing where it was abandoned.
-- $1 user, $2 id
-- index: conversations_pkey or conversations_purge_time_idx
UPDATE conversations SET update_time = now() WHERE user_id = $1 AND id = $2 AND purge_time = '-infinity' RETURNING id;

-- name: insert_branches
-- $1 user, $2 conversation; for each: $3 branch, $4 parent, $5 the depth it leaves at, $6 and $7 its lineage as the texts
-- of arrays, $8 session, $9 when it was made
-- index: none, because it only inserts
INSERT INTO conversation_branches (
    user_id, conversation_id, branch, parent, fork_depth, lineage_branches, lineage_depths, revision, session_id,
    create_time
)
SELECT $1, $2, b.branch, b.parent, b.fork_depth, b.branches::integer[], b.depths::bigint[], 1, b.session_id, b.create_time
FROM unnest(
    $3::integer[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::uuid[], $9::timestamptz[]
) AS b (branch, parent, fork_depth, branches, depths, session_id, create_time);

-- name: insert_messages
-- $1 user, $2 conversation; for each: $3 id, $4 session, $5 position, $6 branch, $7 depth, $8 role, $9 parts, $10 their
-- bytes, $11 what it stands in place of, $12 rating, $13 comment, $14 when it was made, $15 and deleted
-- index: none, because it only inserts
INSERT INTO chat_messages (
    user_id, conversation_id, id, session_id, position, branch, depth, revision, role, parts, text_bytes, replaces,
    feedback_rating, feedback_comment, create_time, delete_time
)
SELECT
    $1, $2, m.id, m.session_id, m.position, m.branch, m.depth, 1, m.role, m.parts::jsonb, m.text_bytes, m.replaces,
    m.rating, m.comment, m.create_time, m.delete_time
FROM unnest(
    $3::uuid[], $4::uuid[], $5::bigint[], $6::integer[], $7::bigint[], $8::smallint[], $9::text[], $10::integer[],
    $11::uuid[], $12::smallint[], $13::text[], $14::timestamptz[], $15::timestamptz[]
) AS m (
    id, session_id, position, branch, depth, role, parts, text_bytes, replaces, rating, comment, create_time, delete_time
);

-- name: insert_components
-- $1 user, $2 conversation; for each: $3 id, $4 session, $5 name, $6 type, $7 version, $8 when it was made, $9 changed
-- and $10 deleted
-- index: none, because it only inserts
INSERT INTO components (
    user_id, conversation_id, id, session_id, name, type, version, revision, create_time, update_time, delete_time
)
SELECT $1, $2, k.id, k.session_id, k.name, k.type, k.version, 1, k.create_time, k.update_time, k.delete_time
FROM unnest(
    $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::integer[], $8::timestamptz[], $9::timestamptz[],
    $10::timestamptz[]
) AS k (id, session_id, name, type, version, create_time, update_time, delete_time);

-- name: insert_versions
-- $1 user; for each: $2 component, $3 version, $4 content, $5 its hash, $6 session, $7 when it was made
-- index: none, because it only inserts
INSERT INTO component_versions (
    user_id, component_id, version, content, content_bytes, content_hash, session_id, create_time
)
SELECT $1, v.component_id, v.version, v.content, octet_length(v.content), v.content_hash, v.session_id, v.create_time
FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::uuid[], $7::timestamptz[])
AS v (component_id, version, content, content_hash, session_id, create_time);

-- name: insert_interactions
-- $1 user, $2 conversation; for each: $3 id, $4 session, $5 state, $6 model, $7 message, $8 to $13 usage, $14 whether it
-- is estimated, $15 and $16 error, $17 when it was made and $18 ended
-- index: none, because it only inserts
INSERT INTO ai_interactions (
    user_id, conversation_id, id, session_id, state, model, message_id, input_tokens, output_tokens,
    cached_input_tokens, reasoning_tokens, cost_micros, price_version, usage_estimated, error_code, error_message,
    revision, create_time, end_time
)
SELECT
    $1, $2, i.id, i.session_id, i.state, i.model, i.message_id, i.input, i.output, i.cached, i.reasoning, i.cost,
    i.price_version, i.estimated, i.error_code, i.error_message, 1, i.create_time, i.end_time
FROM unnest(
    $3::uuid[], $4::uuid[], $5::smallint[], $6::text[], $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[],
    $11::bigint[], $12::bigint[], $13::text[], $14::boolean[], $15::text[], $16::text[], $17::timestamptz[],
    $18::timestamptz[]
) AS i (
    id, session_id, state, model, message_id, input, output, cached, reasoning, cost, price_version, estimated,
    error_code, error_message, create_time, end_time
);

-- name: insert_responses
-- $1 user, $2 conversation; for each: $3 id, $4 interaction, $5 session, $6 message, $7 model, $8 finish reason, $9 to
-- $14 usage, $15 whether it is estimated, $16 and $17 times in microseconds, $18 provider, $19 error, $20 when it was made
-- index: none, because it only inserts
INSERT INTO ai_responses (
    user_id, conversation_id, id, interaction_id, session_id, message_id, model, finish_reason, input_tokens,
    output_tokens, cached_input_tokens, reasoning_tokens, cost_micros, price_version, usage_estimated,
    first_token_micros, duration_micros, provider, error_code, create_time
)
SELECT
    $1, $2, r.id, r.interaction_id, r.session_id, r.message_id, r.model, r.finish_reason, r.input, r.output, r.cached,
    r.reasoning, r.cost, r.price_version, r.estimated, r.first_token, r.duration, r.provider, r.error_code,
    r.create_time
FROM unnest(
    $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
    $12::bigint[], $13::bigint[], $14::text[], $15::boolean[], $16::bigint[], $17::bigint[], $18::text[], $19::text[],
    $20::timestamptz[]
) AS r (
    id, interaction_id, session_id, message_id, model, finish_reason, input, output, cached, reasoning, cost,
    price_version, estimated, first_token, duration, provider, error_code, create_time
);

-- name: insert_links
-- $1 user, $2 conversation; for each: $3 session, $4 how far it has read, $5 when it was made and $6 changed
-- index: none, because it only inserts
INSERT INTO conversation_sessions (
    user_id, conversation_id, session_id, read_position, revision, create_time, update_time
)
SELECT $1, $2, s.session_id, s.read_position, 1, s.create_time, s.update_time
FROM unnest($3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
AS s (session_id, read_position, create_time, update_time);

-- name: publish
-- Shows a conversation that is whole. Answers nothing where one by its name was shown meanwhile, or it was abandoned.
-- $1 user, $2 id, $3 source, $4 external id, $5 digest, $6 messages, $7 branches, $8 the active branch and $9 its depth,
-- $10 when it was deleted, or null, $11 how long a deleted one can be undeleted
-- index: conversations_pkey or conversations_purge_time_idx
WITH named AS (
    INSERT INTO imported_conversations AS k (user_id, source, external_id, conversation_id, content_digest)
    VALUES ($1, $3, $4, $2, $5)
    ON CONFLICT (user_id, source, external_id) DO UPDATE SET
        conversation_id = excluded.conversation_id, content_digest = excluded.content_digest, create_time = now()
    WHERE (
        SELECT c.purge_time <= now() FROM conversations AS c WHERE c.user_id = $1 AND c.id = k.conversation_id
    )
    RETURNING conversation_id
)
UPDATE conversations AS c
SET
    message_count = $6, branch_count = $7, active_branch = $8, active_depth = $9, update_time = now(),
    delete_time = $10, purge_time = CASE WHEN $10::timestamptz IS NULL THEN NULL ELSE now() + $11::interval END
FROM named
WHERE c.user_id = $1 AND c.id = $2 AND c.purge_time = '-infinity'
RETURNING c.revision;

-- name: abandon
-- $1 user, $2 id
-- index: conversations_pkey or conversations_purge_time_idx
UPDATE conversations SET purge_time = now() WHERE user_id = $1 AND id = $2 AND purge_time = '-infinity';

-- name: abandon_stale
-- Clean-up: imports that nobody goes on with are due to go.
-- $1 how many, $2 after how long
-- index: conversations_purge_time_idx, conversations_pkey
WITH stale AS (
    SELECT user_id, id FROM conversations
    WHERE purge_time = '-infinity' AND update_time < now() - $2::interval
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
abandoned AS (
    UPDATE conversations AS c SET purge_time = now() FROM stale
    WHERE c.user_id = stale.user_id AND c.id = stale.id
    RETURNING c.id
)
SELECT count(*) FROM abandoned;

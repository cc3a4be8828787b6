-- name: find
-- $1 user, $2 component, $3 version
-- index: component_versions_pkey
SELECT component_id, version, content, content_hash, session_id, create_time
FROM component_versions
WHERE user_id = $1 AND component_id = $2 AND version = $3;

-- name: find_pair
-- Two versions to compare. No row says that there is no such component, no content that there is no such version.
-- $1 user, $2 component, $3 the former version, or 0 for the one before the latter, $4 the latter, or 0 for the current
-- index: components_pkey, component_versions_pkey
SELECT p.former, a.content AS former_content, p.latter, b.content AS latter_content
FROM (
    SELECT
        coalesce(nullif($4::integer, 0), version) AS latter,
        coalesce(nullif($3::integer, 0), coalesce(nullif($4, 0), version) - 1) AS former
    FROM components
    WHERE user_id = $1 AND id = $2
) AS p
LEFT JOIN LATERAL (
    SELECT content FROM component_versions WHERE user_id = $1 AND component_id = $2 AND version = p.former LIMIT 1
) AS a ON true
LEFT JOIN LATERAL (
    SELECT content FROM component_versions WHERE user_id = $1 AND component_id = $2 AND version = p.latter LIMIT 1
) AS b ON true;

-- name: list_page
-- The newest first. `before` counts the bytes of content in front of a version on the page, as in components.sql. No row at
-- all says that there is no such component; the row of an empty page has no version.
-- $1 user, $2 component, $3 the version to go on after, or null, $4 how many, $5 bytes of content
-- index: components_pkey, component_versions_pkey
SELECT
    p.component_id, p.version, p.content, p.content_hash, p.content_bytes, p.session_id, p.create_time
FROM (SELECT id FROM components WHERE user_id = $1 AND id = $2) AS k
LEFT JOIN LATERAL (
    SELECT
        component_id, version, content, content_hash, content_bytes, session_id, create_time,
        sum(content_bytes) OVER (ORDER BY version DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT component_id, version, content, content_hash, content_bytes, session_id, create_time
        FROM component_versions
        WHERE user_id = $1 AND component_id = $2 AND version < coalesce($3, 2147483647)
        ORDER BY version DESC
        LIMIT $4
    ) AS page
) AS p ON coalesce(p.before, 0) <= $5
ORDER BY p.version DESC;

-- name: delete_purged
-- Clean-up: versions of components of conversations that are due to go.
-- $1 how many
-- index: conversations_purge_time_idx, components_conversation_id_idx, component_versions_pkey
WITH doomed AS (
    SELECT v.user_id, v.component_id, v.version
    FROM conversations AS c
    CROSS JOIN LATERAL (
        SELECT component_versions.user_id, component_versions.component_id, component_versions.version
        FROM components AS k
        INNER JOIN component_versions
            ON component_versions.user_id = k.user_id AND component_versions.component_id = k.id
        WHERE k.user_id = c.user_id AND k.conversation_id = c.id
        LIMIT $1
    ) AS v
    WHERE c.purge_time <= now() AND c.purge_time > '-infinity'
    LIMIT $1
),
deleted AS (
    DELETE FROM component_versions AS v USING doomed
    WHERE v.user_id = doomed.user_id AND v.component_id = doomed.component_id AND v.version = doomed.version
    RETURNING v.version
)
SELECT count(*) FROM deleted;

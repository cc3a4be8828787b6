-- name: insert_many
-- Accounts from rows that are new, their links and the import's one event, in one statement. A row that was imported
-- before, or whose email is taken, is passed over; the first of two with one email wins. They go in the order of their
-- emails, so that imports that race wait for each other and never in a circle.
-- $1 source, $2 external ids, no two the same, $3 digests, $4 users, $5 emails, $6 when verified or null
-- $7 display names, $8 password hashes or null, $9 roles joined by commas, $10 states, $11 locales
-- $12 when made or null, $13 event, $14 the administrator, $15 their session, $16 address
-- index: imported_users_pkey
WITH known AS (
    SELECT external_id FROM imported_users WHERE source = $1 AND external_id = any($2::text[])
), sent AS (
    SELECT *
    FROM unnest(
        $2::text[], $3::bytea[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::timestamptz[]
    ) WITH ORDINALITY AS sent (
        external_id, content_digest, id, email, email_verify_time, display_name, password_hash, roles,
        state, locale, create_time, place
    )
    WHERE external_id NOT IN (SELECT external_id FROM known)
), made AS (
    INSERT INTO users (
        id, email, email_verify_time, display_name, password_hash, roles, state, locale, create_time
    )
    SELECT
        id, email, email_verify_time, display_name, password_hash, string_to_array(roles, ','), state, locale,
        coalesce(create_time, now())
    FROM sent
    ORDER BY email, place
    ON CONFLICT (email) DO NOTHING
    RETURNING id
), linked AS (
    INSERT INTO imported_users (source, external_id, user_id, content_digest)
    SELECT $1, s.external_id, s.id, s.content_digest FROM sent s JOIN made m ON m.id = s.id
), event AS (
    INSERT INTO audit_events AS e (id, type, user_id, session_id, actor_id, address, details)
    SELECT $13, 'USERS_IMPORTED', $14, $15, $14, $16, jsonb_build_object('source', $1, 'count', count(*))
    FROM made
    HAVING count(*) > 0
    ON CONFLICT (id) DO UPDATE
    SET details = jsonb_set(
        e.details, '{count}', to_jsonb((e.details ->> 'count')::bigint + (excluded.details ->> 'count')::bigint)
    )
)
SELECT id FROM made;

-- name: find_many
-- $1 source, $2 external ids
-- index: imported_users_pkey
SELECT external_id, user_id, content_digest
FROM imported_users
WHERE source = $1 AND external_id = any($2::text[]);

-- name: list_of
-- Where an account came from: one row, or none.
-- $1 the user
-- index: imported_users_user_id
SELECT source, external_id, create_time FROM imported_users WHERE user_id = $1 ORDER BY create_time LIMIT 100;

-- name: understand
-- What a search begins with: its terms as Postgres parses them, the serial of the newest message, and whether there is
-- the conversation that it is limited to.
-- $1 user, $2 the terms, $3 conversation or null
-- index: conversations_pkey
SELECT
    array(
        SELECT phraseto_tsquery('pg_catalog.simple', search_text(term))::text
        FROM unnest($2::text[]) WITH ORDINALITY AS t (term, nth)
        ORDER BY nth
    ) AS phrases,
    coalesce(pg_sequence_last_value('chat_messages_serial'), 0) AS newest,
    $3::uuid IS NULL OR (
        SELECT id FROM conversations WHERE user_id = $1 AND id = $3 AND (purge_time IS NULL OR purge_time > now())
    ) IS NOT NULL AS here;

-- name: probe
-- The newest hits in a window, each with its rank, and how many rows the index had for it: one more than the limit says
-- that these are not all, and then the hits mean nothing. The index is asked alone, behind a limit, so that no other way
-- is ever planned: the window names the user by words, and the rows are checked for the user. Words and window are two
-- conditions, between which the index goes to and fro; as one it would look at each message of the window.
-- $1 user, $2 what the index is asked, $3 the window, $4 what else must hold or null, $5 what the rank is by, $6 the serial
-- to stay below, $7 conversation or null, $8 from and $9 before when or null, $10 the limit of rows, $11 how many hits
-- index: chat_messages_search_idx, conversations_pkey, chat_messages_pkey
WITH looked AS MATERIALIZED (
    SELECT
        user_id, id, conversation_id, serial, create_time,
        CASE WHEN $4::text IS NULL THEN true ELSE search @@ $4::text::tsquery END AS meant
    FROM chat_messages
    WHERE search @@ $2::text::tsquery AND search @@ $3::text::tsquery
    LIMIT $10
),
alive AS MATERIALIZED (
    SELECT c.id
    FROM (SELECT DISTINCT conversation_id FROM looked) AS l
    CROSS JOIN LATERAL (
        SELECT id FROM conversations WHERE user_id = $1 AND id = l.conversation_id AND delete_time IS NULL LIMIT 1
    ) AS c
),
hit AS MATERIALIZED (
    SELECT l.id, l.serial
    FROM looked AS l
    WHERE
        l.user_id = $1 AND l.meant AND l.serial < $6 AND l.conversation_id = coalesce($7::uuid, l.conversation_id)
        AND l.create_time >= coalesce($8::timestamptz, '-infinity')
        AND l.create_time < coalesce($9::timestamptz, 'infinity')
        AND l.conversation_id IN (SELECT id FROM alive)
    ORDER BY l.serial DESC
    LIMIT $11
)
SELECT (SELECT count(*) FROM looked) AS looked, h.id, h.serial, m.text_bytes, m.rank
FROM (SELECT 1) AS always
LEFT JOIN hit AS h ON true
LEFT JOIN LATERAL (
    SELECT text_bytes, ts_rank(search, $5::text::tsquery, 1) AS rank
    FROM chat_messages
    WHERE user_id = $1 AND id = h.id
    LIMIT 1
) AS m ON true
ORDER BY h.serial DESC;

-- name: titles
-- Conversations by their titles, the best first. The index is asked alone, as above.
-- $1 user, $2 what the index is asked, $3 what the rank is by, $4 the limit of rows, $5 the rank and $6 the id to go on
-- after, or null, $7 how many
-- index: conversations_title_idx
WITH looked AS MATERIALIZED (
    SELECT user_id, id, title, delete_time
    FROM conversations
    WHERE search_title(user_id, title) @@ $2::text::tsquery
    LIMIT $4
),
rated AS (
    SELECT id, ts_rank(search_title(user_id, title), $3::text::tsquery, 1) AS rank
    FROM looked
    WHERE user_id = $1 AND delete_time IS NULL
)
SELECT id, rank
FROM rated
WHERE $5::real IS NULL OR rank < $5 OR (rank = $5 AND id < $6::uuid)
ORDER BY rank DESC, id DESC
LIMIT $7;

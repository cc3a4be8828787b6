-- name: insert
-- $1 digest, $2 purpose, $3 who asks, or null, $4 the email of a log-in, or null, $5 lifetime
-- index: none, because it only inserts
INSERT INTO passkey_challenges (digest, purpose, user_id, email, expire_time) VALUES ($1, $2, $3, $4, now() + $5)
RETURNING expire_time;

-- name: consume
-- A challenge is answered once: of all who present an answer, right or wrong, one deletes its row.
-- $1 digest, $2 purpose, $3 who asked, or null
-- index: passkey_challenges_pkey
WITH consumed AS (
    DELETE FROM passkey_challenges
    WHERE digest = $1 AND purpose = $2 AND user_id IS NOT DISTINCT FROM $3 AND expire_time > now()
    RETURNING email
)
SELECT email FROM consumed;

-- name: delete_expired
-- Clean-up.
-- $1 how many
-- index: passkey_challenges_expire
WITH expired AS (
    SELECT digest FROM passkey_challenges
    WHERE expire_time < now()
    ORDER BY expire_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM passkey_challenges c USING expired e WHERE c.digest = e.digest RETURNING c.digest
)
SELECT count(*) FROM deleted;

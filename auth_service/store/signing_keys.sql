-- name: count_changes
-- index: signing_key_sets_pkey
SELECT changes FROM signing_key_sets WHERE id = 1;

-- name: list_accepted
-- The keys that tokens are accepted of, the oldest first, and how often the set has changed until then.
-- index: signing_key_sets_pkey
SELECT s.changes, k.kid, k.algorithm, k.public_jwk, k.private_key_sealed, k.state
FROM signing_key_sets s
LEFT JOIN signing_keys k ON k.state <> 'REMOVED'
WHERE s.id = 1
ORDER BY k.create_time, k.kid
LIMIT 100;

-- name: list_states
-- All keys, the newest first, with the times at which what has not happened yet will happen by itself.
-- $1 how long a key is published before it signs, $2 how long it retires
-- index: none, because it reads the whole of a small table
SELECT
    kid, algorithm, state, create_time,
    coalesce(sign_time, CASE WHEN state = 'PUBLISHED' THEN create_time + $1::interval END) AS sign_time,
    retire_time,
    coalesce(remove_time, CASE WHEN state = 'RETIRING' THEN retire_time + $2::interval END) AS remove_time
FROM signing_keys
ORDER BY create_time DESC, kid
LIMIT 100;

-- name: lock_set
-- Changes of the set go one after the other.
-- index: signing_key_sets_pkey
SELECT changes FROM signing_key_sets WHERE id = 1 FOR UPDATE;

-- name: find_due
-- Whether anything is due by itself: the next key is to be published, the published one to sign, a retiring one to go.
-- $1 algorithm, $2 the age of a signing key at which its successor is published, $3 how long a key is published before
-- it signs, $4 how long it retires
-- index: none, because it reads the whole of a small table
SELECT
    NOT coalesce(bool_or(state = 'PUBLISHED'), false) AND coalesce(
        bool_or(state = 'SIGNING' AND (algorithm <> $1 OR coalesce(sign_time, create_time) <= now() - $2::interval)),
        false
    ) AS publish,
    coalesce(bool_or(state = 'PUBLISHED' AND create_time <= now() - $3::interval), false) AS promote,
    coalesce(bool_or(state = 'RETIRING' AND retire_time <= now() - $4::interval), false) AS remove
FROM signing_keys;

-- name: insert_first
-- The key of a new installation, which signs at once; nothing where one signs.
-- $1 kid, $2 algorithm, $3 public half as a JWK, $4 private half, sealed
-- index: none, because it only inserts
INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key_sealed, state, sign_time)
VALUES ($1, $2, $3, $4, 'SIGNING', now())
ON CONFLICT (state) WHERE state = 'SIGNING' DO NOTHING;

-- name: publish
-- The key that signs next; nothing where one is published.
-- $1 kid, $2 algorithm, $3 public half as a JWK, $4 private half, sealed, $5 event, $6 who asked for it, or null
-- $7 address
-- index: none, because it only inserts
WITH added AS (
    INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key_sealed, state)
    VALUES ($1, $2, $3, $4, 'PUBLISHED')
    ON CONFLICT (state) WHERE state = 'PUBLISHED' DO NOTHING
    RETURNING kid
), event AS (
    INSERT INTO audit_events (id, type, actor_id, address, details)
    SELECT $5, 'SIGNING_KEY_PUBLISHED', $6::uuid, $7, jsonb_build_object('kid', kid) FROM added
)
SELECT count(*) FROM added;

-- name: promote
-- The published key signs, and the one that signed retires, its private half erased. The count makes the latter come
-- first: at no moment may two keys sign, and the index checks each row as it changes.
-- $1 how long it must have been published, $2 event, $3 who asked for it, or null, $4 address
-- index: none, because it reads the whole of a small table
WITH ripe AS (
    SELECT kid FROM signing_keys WHERE state = 'PUBLISHED' AND create_time <= now() - $1::interval
), retired AS (
    UPDATE signing_keys k
    SET state = 'RETIRING', retire_time = now(), private_key_sealed = NULL
    FROM ripe
    WHERE k.state = 'SIGNING'
    RETURNING k.kid
), former AS (
    SELECT count(*) AS keys FROM retired
), promoted AS (
    UPDATE signing_keys k
    SET state = 'SIGNING', sign_time = now()
    FROM ripe CROSS JOIN former
    WHERE k.kid = ripe.kid AND k.state = 'PUBLISHED' AND former.keys >= 0
    RETURNING k.kid
), event AS (
    INSERT INTO audit_events (id, type, actor_id, address, details)
    SELECT $2, 'SIGNING_KEY_ROTATED', $3::uuid, $4, jsonb_build_object('kid', kid) FROM promoted
)
SELECT kid FROM promoted;

-- name: remove_retired
-- $1 how long they must have been retiring
-- index: none, because it reads the whole of a small table
UPDATE signing_keys SET state = 'REMOVED', remove_time = now()
WHERE state = 'RETIRING' AND retire_time <= now() - $1::interval
RETURNING kid;

-- name: replace_all
-- A new key signs, and no other is accepted from here on. As in `promote`, what was goes before what comes.
-- $1 kid, $2 algorithm, $3 public half as a JWK, $4 private half, sealed, $5 event, $6 who asked for it, or null
-- $7 address
-- index: none, because it reads the whole of a small table
WITH removed AS (
    UPDATE signing_keys SET state = 'REMOVED', remove_time = now(), private_key_sealed = NULL
    WHERE state <> 'REMOVED'
    RETURNING kid
), former AS (
    SELECT count(*) AS keys FROM removed
), added AS (
    INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key_sealed, state, sign_time)
    SELECT $1, $2, $3::jsonb, $4::bytea, 'SIGNING', now() FROM former WHERE former.keys >= 0
    RETURNING kid
), event AS (
    INSERT INTO audit_events (id, type, actor_id, address, details)
    SELECT $5, 'SIGNING_KEYS_REPLACED', $6::uuid, $7, jsonb_build_object('kid', kid) FROM added
)
SELECT kid FROM added;

-- name: delete_removed
-- Clean-up.
-- $1 how many, $2 how long ago they must have been removed
-- index: none, because it reads the whole of a small table
WITH gone AS (
    SELECT kid FROM signing_keys
    WHERE state = 'REMOVED' AND remove_time < now() - $2::interval
    ORDER BY remove_time
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM signing_keys k USING gone WHERE k.kid = gone.kid RETURNING k.kid
)
SELECT count(*) FROM deleted;

-- name: list_sealed_otherwise
-- $1 the id of the key that seals now, $2 how many
-- index: none, because it reads the whole of a small table
SELECT kid, private_key_sealed
FROM signing_keys
WHERE substr(private_key_sealed, 1, 8) <> $1
LIMIT $2;

-- name: reseal
-- $1 kid, $2 the private half as it was sealed, $3 as it is now
-- index: signing_keys_pkey
UPDATE signing_keys SET private_key_sealed = $3 WHERE kid = $1 AND private_key_sealed = $2 RETURNING kid;

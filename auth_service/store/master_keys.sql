-- name: note_use
-- $1 the key's id
-- index: none, because it only inserts
INSERT INTO master_keys (key_id, last_use_time) VALUES ($1, now())
ON CONFLICT (key_id) DO UPDATE SET last_use_time = excluded.last_use_time;

-- name: is_unused_for
-- Whether a key that was in use has made nothing for so long.
-- $1 the key's id, $2 how long
-- index: master_keys_pkey
SELECT EXISTS (SELECT FROM master_keys WHERE key_id = $1 AND last_use_time < now() - $2::interval);

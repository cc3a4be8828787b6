-- name: insert
-- $1 id, $2 purpose, $3 the user or null, $4 the address that it proves, $5 how long the link is good
-- index: none, because it only inserts
INSERT INTO one_time_codes (id, purpose, user_id, email, expire_time) VALUES ($1, $2, $3, $4, now() + $5);

-- name: delete_former
-- $1 the user, $2 the purpose, or null for all
-- index: one_time_codes_user_id
DELETE FROM one_time_codes WHERE user_id = $1 AND purpose = coalesce($2, purpose);

-- name: guess
-- Counts a guess before it is looked at: however many come at once, no more than the budget are.
-- $1 id, $2 purpose, $3 how many guesses there may be, $4 how long a code is good
-- index: one_time_codes_pkey
UPDATE one_time_codes
SET guesses = guesses + 1
WHERE
    id = $1 AND purpose = $2 AND guesses < $3
    AND create_time > now() - $4::interval AND expire_time > now()
RETURNING id;

-- name: find
-- $1 id, $2 purpose
-- index: one_time_codes_pkey
SELECT id, user_id, email
FROM one_time_codes
WHERE id = $1 AND purpose = $2 AND user_id IS NOT NULL AND expire_time > now();

-- name: consume
-- Of all who present one at the same time, one deletes the row.
-- $1 id, $2 purpose
-- index: one_time_codes_pkey
DELETE FROM one_time_codes WHERE id = $1 AND purpose = $2 AND expire_time > now() RETURNING id;

-- name: delete_expired
-- Clean-up.
-- $1 how many
-- index: one_time_codes_expire
WITH expired AS (
    SELECT id FROM one_time_codes WHERE expire_time < now() ORDER BY expire_time LIMIT $1 FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM one_time_codes c USING expired WHERE c.id = expired.id RETURNING c.id
)
SELECT count(*) FROM deleted;

-- name: insert
-- $1 id, $2 kind, $3 content, sealed, $4 how long it is worth sending
-- index: none, because it only inserts
INSERT INTO mail_outbox (id, kind, content_sealed, expire_time) VALUES ($1, $2, $3, now() + $4);

-- name: claim
-- Takes what is due for as long as the lease lasts; no two senders get the same.
-- $1 the lease, $2 how many
-- index: mail_outbox_due
WITH due AS (
    SELECT id FROM mail_outbox
    WHERE failure IS NULL AND due_time <= now() AND expire_time > now()
    ORDER BY due_time
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE mail_outbox m
SET due_time = now() + $1, attempts = m.attempts + 1
FROM due
WHERE m.id = due.id
RETURNING m.id, m.kind, m.content_sealed, m.attempts, m.create_time;

-- name: delete
-- It was sent, or there is nobody to send it to.
-- $1 id, $2 the attempt
-- index: mail_outbox_pkey
DELETE FROM mail_outbox WHERE id = $1 AND attempts = $2;

-- name: postpone
-- $1 id, $2 the attempt, $3 the pause before the next one
-- index: mail_outbox_pkey
UPDATE mail_outbox SET due_time = now() + $3 WHERE id = $1 AND attempts = $2;

-- name: give_up
-- Keeps that it was refused, without what it said.
-- $1 id, $2 the attempt, $3 what the mail server said, $4 how long to keep it
-- index: mail_outbox_pkey
UPDATE mail_outbox
SET failure = $3, content_sealed = '', expire_time = now() + $4
WHERE id = $1 AND attempts = $2;

-- name: backlog
-- How many mails are due, as far as that matters, and since when the oldest has been waiting.
-- $1 how many are many
-- index: mail_outbox_due
WITH due AS (
    SELECT create_time FROM mail_outbox
    WHERE failure IS NULL AND due_time <= now() + interval '1 day' AND expire_time > now()
    ORDER BY due_time
    LIMIT $1
)
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(create_time)), 0)::float8 AS oldest_seconds FROM due;

-- name: delete_expired
-- Clean-up.
-- $1 how many
-- index: mail_outbox_expire
WITH expired AS (
    SELECT id FROM mail_outbox WHERE expire_time < now() ORDER BY expire_time LIMIT $1 FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM mail_outbox m USING expired WHERE m.id = expired.id RETURNING m.id
)
SELECT count(*) FROM deleted;

-- name: list_sealed_otherwise
-- Mails that another key sealed; there are few at any time.
-- $1 the id of the key that seals now, $2 how many
-- index: none, because it reads the whole of a small table
SELECT id, content_sealed
FROM mail_outbox
WHERE failure IS NULL AND expire_time > now() AND substr(content_sealed, 1, 8) <> $1
LIMIT $2;

-- name: reseal
-- $1 id, $2 the content as it was sealed, $3 as it is now
-- index: mail_outbox_pkey
UPDATE mail_outbox SET content_sealed = $3 WHERE id = $1 AND content_sealed = $2 RETURNING id;

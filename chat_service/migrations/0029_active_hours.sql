-- The hour of the last change, by which a user's conversations are found that have changed lately. The time itself cannot
-- be indexed: every append would write to the index. The hour changes at most once an hour, and an update that leaves an
-- indexed column as it was stays on its page (HOT). Made from update_time by Postgres, so that no statement forgets it;
-- that writes the table anew, once, before there was a release. The index does not lock what is not locked already.
ALTER TABLE conversations
ADD COLUMN active_hour timestamptz
-- squawk-ignore adding-field-with-default
GENERATED ALWAYS AS (date_trunc('hour', update_time AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') STORED;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX conversations_active_hour_idx ON conversations (user_id, active_hour) WHERE active_hour > '-infinity';

-- concurrently
-- What waits, anywhere, the oldest first: for those who take runs up.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_interactions_waiting_idx ON ai_interactions (create_time)
WHERE state = 1;

-- concurrently
-- The runs that wait in a conversation, in the order they came.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_interactions_queued_idx
ON ai_interactions (user_id, conversation_id, id) WHERE start_time IS NULL AND end_time IS NULL;

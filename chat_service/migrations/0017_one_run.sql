-- concurrently
-- One run at a time in a conversation, whatever happens.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ai_interactions_running_key
ON ai_interactions (user_id, conversation_id) WHERE worker IS NOT NULL;

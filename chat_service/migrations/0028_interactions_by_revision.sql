-- concurrently
-- Likewise runs: one takes a revision when its state changes, two or three times in all, and none while its text grows.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_interactions_revision_idx
ON ai_interactions (user_id, conversation_id, revision) WHERE revision > 0;

-- concurrently
-- Likewise components: a new version comes at the pace of people and models.
CREATE INDEX CONCURRENTLY IF NOT EXISTS components_revision_idx
ON components (user_id, conversation_id, revision) WHERE revision > 0;

-- concurrently
-- The events of one type, the newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_type ON audit_events (type, create_time DESC, id DESC);

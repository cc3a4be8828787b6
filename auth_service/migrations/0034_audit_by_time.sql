-- concurrently
-- All events, the newest first, and their clean-up.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_create_time ON audit_events (create_time DESC, id DESC);

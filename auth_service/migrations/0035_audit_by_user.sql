-- concurrently
-- A user's events, the newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_events_user_id ON audit_events (user_id, create_time DESC, id DESC);

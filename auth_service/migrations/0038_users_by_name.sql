-- concurrently
-- The accounts whose display name begins so, in any case.
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_display_name_prefix ON users (lower(display_name) text_pattern_ops, id);

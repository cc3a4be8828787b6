-- concurrently
-- The accounts that are shut or deleted, the newest first; most are neither.
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_not_active ON users (state, id DESC) WHERE state <> 'ACTIVE';

-- concurrently
-- What workers hold, anywhere: for who ends the runs that lost theirs. Not by the lease, which is renewed each second.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_interactions_held_idx ON ai_interactions (start_time)
WHERE lease_expire_time IS NOT NULL;

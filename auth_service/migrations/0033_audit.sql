-- Who did it and what else is known of it, for what administrators do and read (ASVS 16.2.1).
ALTER TABLE audit_events
-- An administrator; null where the user did it.
ADD COLUMN actor_id uuid,
ADD COLUMN details jsonb NOT NULL DEFAULT '{}';

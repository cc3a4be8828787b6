-- The rules of 0007 hold for the rows that were there before, too; checked without keeping writers out.
ALTER TABLE users
VALIDATE CONSTRAINT users_kind_known,
VALIDATE CONSTRAINT users_email_of_persons,
VALIDATE CONSTRAINT users_locale_length,
VALIDATE CONSTRAINT users_state_known,
VALIDATE CONSTRAINT users_deleted_with_purge;

ALTER TABLE sessions
VALIDATE CONSTRAINT sessions_kind_known,
VALIDATE CONSTRAINT sessions_secret_of_machines,
VALIDATE CONSTRAINT sessions_secret_length,
VALIDATE CONSTRAINT sessions_assurance_known,
VALIDATE CONSTRAINT sessions_revoke_reason_known;

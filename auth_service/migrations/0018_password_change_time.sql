-- When the password was last chosen: a log-in that has checked the one before begins no session.
ALTER TABLE users ADD COLUMN password_change_time timestamptz;

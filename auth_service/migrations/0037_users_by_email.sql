-- concurrently
-- Lower case it is already: as an expression it leaves equality to idx_users_email. The accounts whose email begins so, in the order of their emails, whatever the collation of the database.
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_prefix ON users (lower(email) text_pattern_ops);

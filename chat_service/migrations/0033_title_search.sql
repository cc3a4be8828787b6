-- concurrently
-- The words of titles. Over an expression, so that appends, which write the row anew each time, know nothing of it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS conversations_title_idx
ON conversations USING gin (search_title(user_id, title)) WITH (fastupdate = off);

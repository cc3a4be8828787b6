-- concurrently
-- The words of messages. New ones wait in a list of at most 256 kB, which every search reads too, and go in by hundreds:
-- so an append costs half of what it would if each of its words had its way to the index alone.
CREATE INDEX CONCURRENTLY IF NOT EXISTS chat_messages_search_idx
ON chat_messages USING gin (search) WITH (fastupdate = on, gin_pending_list_limit = 256);

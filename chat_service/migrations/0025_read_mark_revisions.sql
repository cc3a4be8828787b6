-- A read mark is a change of the conversation as any other: the revision at which the link was made or last read on.
-- No index: a conversation has few links, and reading on is to stay HOT.
ALTER TABLE conversation_sessions ADD COLUMN revision bigint NOT NULL DEFAULT 0;

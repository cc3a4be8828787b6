-- concurrently
-- What a device that has seen revision R lacks: messages appended since, and older ones that were touched since. No other
-- index has them next to each other: appends since R are at the ends of any number of branches, and a deletion may touch
-- any place. It costs each append one more entry, beside the former one of its conversation.
-- Every row has a revision over 0: the condition keeps all other queries off the index, which while a table is small
-- would seem as good to them as their own.
CREATE INDEX CONCURRENTLY IF NOT EXISTS chat_messages_revision_idx
ON chat_messages (user_id, conversation_id, revision) WHERE revision > 0;

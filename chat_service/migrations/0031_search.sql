-- Search in messages: the order in which they came, over all users, where gaps do no harm, and their words. This writes
-- every message anew under a lock, so a database with a million of them stands still for some minutes.
CREATE SEQUENCE chat_messages_serial AS bigint;

ALTER TABLE chat_messages
-- Search walks backwards along it.
-- squawk-ignore adding-field-with-default
ADD COLUMN serial bigint NOT NULL DEFAULT nextval('chat_messages_serial'),
-- The words, and where the message is.
-- squawk-ignore adding-field-with-default
ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    search_words(parts) || search_scope(user_id, conversation_id, role, serial, create_time)
) STORED;

ALTER SEQUENCE chat_messages_serial OWNED BY chat_messages.serial;

-- What 0010 asks of rows that were there before.
ALTER TABLE chat_messages VALIDATE CONSTRAINT chat_messages_text_bytes_limit;

-- What 0013 asks of rows that were there before.
ALTER TABLE chat_messages
VALIDATE CONSTRAINT chat_messages_deleted_is_empty,
VALIDATE CONSTRAINT chat_messages_feedback_rating_known,
VALIDATE CONSTRAINT chat_messages_feedback_comment_length,
VALIDATE CONSTRAINT chat_messages_feedback_whole;

-- A deleted message keeps its row, so that positions and depths keep having no gap; its parts are emptied. And what the
-- user thinks of a message: a rating, with the number of chat.v1.FeedbackRating (0 none, 1 good, 2 bad), and a comment,
-- both null where there is nothing.
ALTER TABLE chat_messages
ADD COLUMN delete_time timestamptz,
ADD COLUMN feedback_rating smallint,
ADD COLUMN feedback_comment text,
ADD CONSTRAINT chat_messages_deleted_is_empty CHECK ((text_bytes = 0) = (delete_time IS NOT NULL)) NOT VALID,
ADD CONSTRAINT chat_messages_feedback_rating_known CHECK (feedback_rating BETWEEN 0 AND 2) NOT VALID,
ADD CONSTRAINT chat_messages_feedback_comment_length CHECK (char_length(feedback_comment) <= 2000) NOT VALID,
ADD CONSTRAINT chat_messages_feedback_whole
CHECK ((feedback_rating IS NULL) = (feedback_comment IS NULL)) NOT VALID;

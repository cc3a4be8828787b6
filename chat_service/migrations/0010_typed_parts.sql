-- Parts of more kinds than text: a list of objects, each with its kind as the one key, such as {"text": "…"} or
-- {"image": {"uri": "…", "media_type": "…"}}. A JSON value is kept as text, {"json": {"text": "…"}}, because jsonb would
-- lose what its numbers cannot tell. text_bytes is what all parts weigh, so that a page can end in time without reading
-- them; a deleted message weighs nothing.
ALTER TABLE chat_messages
DROP CONSTRAINT chat_messages_text_bytes_limit,
ADD CONSTRAINT chat_messages_text_bytes_limit CHECK (text_bytes BETWEEN 0 AND 1000000) NOT VALID;

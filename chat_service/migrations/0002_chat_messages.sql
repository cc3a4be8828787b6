-- Messages. They are only ever added; position, branch, depth and revision come from the conversation's row.
CREATE TABLE chat_messages (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    -- The sign-in that wrote it.
    session_id uuid NOT NULL,
    -- Its place in the conversation, and its place on its branch, both from 1.
    position bigint NOT NULL CONSTRAINT chat_messages_position_positive CHECK (position > 0),
    branch integer NOT NULL CONSTRAINT chat_messages_branch_positive CHECK (branch > 0),
    depth bigint NOT NULL CONSTRAINT chat_messages_depth_positive CHECK (depth > 0),
    revision bigint NOT NULL,
    -- The number of chat.v1.Role: 1 system, 2 user, 3 assistant, 4 tool.
    role smallint NOT NULL CONSTRAINT chat_messages_role_known CHECK (role BETWEEN 1 AND 4),
    -- [{"text": "…"}, …], and the bytes of its text, so that a page can end in time without reading it.
    parts jsonb NOT NULL,
    text_bytes integer NOT NULL CONSTRAINT chat_messages_text_bytes_limit CHECK (text_bytes BETWEEN 1 AND 1000000),
    request_id text CONSTRAINT chat_messages_request_id_length CHECK (char_length(request_id) <= 64),
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chat_messages_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT chat_messages_conversation FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id)
);
COMMENT ON TABLE chat_messages IS 'What was said, in the order of commits';

-- A page of a conversation's branch. Unique: no two messages share a place.
CREATE UNIQUE INDEX idx_chat_messages_conversation_id ON chat_messages (user_id, conversation_id, branch, depth);

-- A page of one role's messages on a branch.
CREATE INDEX idx_chat_messages_role ON chat_messages (user_id, conversation_id, branch, role, depth);

-- What one sign-in wrote in one conversation.
CREATE INDEX idx_chat_messages_session_id ON chat_messages (user_id, session_id, conversation_id, position);

-- All that one sign-in wrote, in the order of time: ids begin with it.
CREATE INDEX idx_chat_messages_session_order ON chat_messages (user_id, session_id, id);

-- A request_id names one message of its conversation for ever.
CREATE UNIQUE INDEX chat_messages_request_id_key ON chat_messages (user_id, conversation_id, request_id)
WHERE request_id IS NOT NULL;

-- Which sign-ins took part in which conversations, and how far each has read.
CREATE TABLE conversation_sessions (
    user_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    session_id uuid NOT NULL,
    -- The highest position that the sign-in has marked as read; 0 is none.
    read_position bigint NOT NULL DEFAULT 0
        CONSTRAINT conversation_sessions_read_position_natural CHECK (read_position >= 0),
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    -- One link for a sign-in in a conversation.
    CONSTRAINT conversation_sessions_pkey PRIMARY KEY (user_id, conversation_id, session_id),
    CONSTRAINT conversation_sessions_conversation
        FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id)
);
COMMENT ON TABLE conversation_sessions IS 'Sign-ins in conversations, and how far each has read';

-- Reading on changes no indexed column, so it stays on its page (HOT).
ALTER TABLE conversation_sessions SET (fillfactor = 80);

-- The sign-ins of a conversation, the newest link first.
CREATE INDEX idx_conversation_sessions_conversation_id
ON conversation_sessions (user_id, conversation_id, create_time, session_id);

-- The conversations of a sign-in, the newest link first.
CREATE INDEX idx_conversation_sessions_session_id
ON conversation_sessions (user_id, session_id, create_time, conversation_id);

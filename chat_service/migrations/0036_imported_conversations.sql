-- Where conversations came from: those of other systems that became conversations here, so that one sent again is known.
--
-- A conversation that is being imported has the purge_time -infinity: nobody sees it, as nobody sees what is due to go,
-- and clean-up leaves it alone. When it is whole its purge_time is taken away, in the statement that adds the row here.
CREATE TABLE imported_conversations (
    user_id uuid NOT NULL,
    -- The system, and its name for the conversation, as the import gave them.
    source text NOT NULL
        CONSTRAINT imported_conversations_source_length CHECK (char_length(source) BETWEEN 1 AND 64),
    external_id text NOT NULL
        CONSTRAINT imported_conversations_external_id_length CHECK (char_length(external_id) BETWEEN 1 AND 255),
    conversation_id uuid NOT NULL,
    -- SHA-256 of what the file said of it, whatever has changed here since.
    content_digest bytea NOT NULL
        CONSTRAINT imported_conversations_digest_length CHECK (octet_length(content_digest) = 32),
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT imported_conversations_pkey PRIMARY KEY (user_id, source, external_id),
    CONSTRAINT imported_conversations_conversation
        FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE imported_conversations IS 'Conversations of other systems that became conversations here';

-- The end of a conversation takes its row along.
CREATE INDEX imported_conversations_conversation_id_idx ON imported_conversations (user_id, conversation_id);

-- Components: named things that models build. The row stands for the current version, so there is exactly one.
CREATE TABLE components (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    -- The sign-in that wrote the current version.
    session_id uuid NOT NULL,
    name text NOT NULL CONSTRAINT components_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    type text NOT NULL CONSTRAINT components_type_length CHECK (char_length(type) BETWEEN 1 AND 100),
    -- The number of the current version, from 1.
    version integer NOT NULL DEFAULT 1 CONSTRAINT components_version_positive CHECK (version > 0),
    -- The revision of the conversation that last changed it.
    revision bigint NOT NULL,
    -- The client's name for the request that made it.
    request_id text CONSTRAINT components_request_id_length CHECK (char_length(request_id) <= 64),
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    delete_time timestamptz,
    CONSTRAINT components_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT components_conversation FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id)
);
COMMENT ON TABLE components IS 'Named things that models built, each at its current version';

-- All components of a conversation, deleted ones too: to list them, and for clean-up and the foreign key.
CREATE INDEX components_conversation_id_idx ON components (user_id, conversation_id, id);

-- The current components of a conversation, the newest first. Unique because its columns hold the primary key.
CREATE UNIQUE INDEX idx_components_current ON components (user_id, conversation_id, id) WHERE delete_time IS NULL;

-- The current components of one type, the newest first.
CREATE INDEX idx_components_type ON components (user_id, conversation_id, type, id) WHERE delete_time IS NULL;

-- Components whose current version a sign-in wrote, the newest first.
CREATE INDEX idx_components_session_id ON components (user_id, session_id, id);

-- One name, one component; a deleted one gives its name back.
CREATE UNIQUE INDEX components_name_key ON components (user_id, conversation_id, name) WHERE delete_time IS NULL;

-- A repeat of a request finds the component that the first one made.
CREATE UNIQUE INDEX components_request_id_key ON components (user_id, conversation_id, request_id)
WHERE request_id IS NOT NULL;

-- Interactions: runs of models in conversations.
CREATE TABLE ai_interactions (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    -- The sign-in that asked for the run.
    session_id uuid NOT NULL,
    -- The number of chat.v1.InteractionState: 1 queued, 2 running, 3 completed, 4 failed, 5 cancelled, 6 interrupted.
    state smallint NOT NULL CONSTRAINT ai_interactions_state_known CHECK (state BETWEEN 1 AND 6),
    -- The model that was asked for.
    model text NOT NULL CONSTRAINT ai_interactions_model_length CHECK (char_length(model) BETWEEN 1 AND 200),
    -- The message that holds the answer.
    message_id uuid,
    -- What the whole run used and cost.
    input_tokens bigint NOT NULL DEFAULT 0 CONSTRAINT ai_interactions_input_natural CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL DEFAULT 0 CONSTRAINT ai_interactions_output_natural CHECK (output_tokens >= 0),
    cached_input_tokens bigint NOT NULL DEFAULT 0
        CONSTRAINT ai_interactions_cached_natural CHECK (cached_input_tokens >= 0),
    reasoning_tokens bigint NOT NULL DEFAULT 0
        CONSTRAINT ai_interactions_reasoning_natural CHECK (reasoning_tokens >= 0),
    -- Millionths of a US dollar, by the price list named beside it.
    cost_micros bigint NOT NULL DEFAULT 0 CONSTRAINT ai_interactions_cost_natural CHECK (cost_micros >= 0),
    price_version text NOT NULL DEFAULT '',
    -- Why it failed, in the state 4.
    error_code text,
    error_message text,
    -- The revision of the conversation that last changed it.
    revision bigint NOT NULL,
    -- The client's name for the request that recorded it.
    request_id text CONSTRAINT ai_interactions_request_id_length CHECK (char_length(request_id) <= 64),
    create_time timestamptz NOT NULL DEFAULT now(),
    end_time timestamptz,
    CONSTRAINT ai_interactions_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT ai_interactions_conversation
        FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id),
    CONSTRAINT ai_interactions_ended_if_final CHECK ((end_time IS NULL) = (state <= 2)),
    CONSTRAINT ai_interactions_error_if_failed CHECK (error_code IS NULL OR state = 4)
);
COMMENT ON TABLE ai_interactions IS 'Runs of models in conversations';

-- The runs that a sign-in asked for, the newest first.
CREATE INDEX idx_ai_interactions_session_id ON ai_interactions (user_id, session_id, id);

-- The runs in a conversation, the newest first. Unique because its columns hold the primary key: responses refer to it.
CREATE UNIQUE INDEX idx_ai_interactions_conversation_id ON ai_interactions (user_id, conversation_id, id);

-- A repeat of a request finds the run that the first one recorded.
CREATE UNIQUE INDEX ai_interactions_request_id_key ON ai_interactions (user_id, conversation_id, request_id)
WHERE request_id IS NOT NULL;

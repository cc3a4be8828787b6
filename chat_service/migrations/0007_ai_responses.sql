-- Responses: what the models answered, as a record; the text is in the message.
CREATE TABLE ai_responses (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    interaction_id uuid NOT NULL,
    -- The conversation and the sign-in of the interaction.
    conversation_id uuid NOT NULL,
    session_id uuid NOT NULL,
    message_id uuid,
    -- The model that really answered.
    model text NOT NULL CONSTRAINT ai_responses_model_length CHECK (char_length(model) BETWEEN 1 AND 200),
    finish_reason text NOT NULL DEFAULT ''
        CONSTRAINT ai_responses_finish_reason_length CHECK (char_length(finish_reason) <= 100),
    input_tokens bigint NOT NULL DEFAULT 0 CONSTRAINT ai_responses_input_natural CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL DEFAULT 0 CONSTRAINT ai_responses_output_natural CHECK (output_tokens >= 0),
    cached_input_tokens bigint NOT NULL DEFAULT 0
        CONSTRAINT ai_responses_cached_natural CHECK (cached_input_tokens >= 0),
    reasoning_tokens bigint NOT NULL DEFAULT 0
        CONSTRAINT ai_responses_reasoning_natural CHECK (reasoning_tokens >= 0),
    -- Millionths of a US dollar, by the price list named beside it.
    cost_micros bigint NOT NULL DEFAULT 0 CONSTRAINT ai_responses_cost_natural CHECK (cost_micros >= 0),
    price_version text NOT NULL DEFAULT '',
    -- From the request to the first piece and to the end of the answer, in microseconds.
    first_token_micros bigint CONSTRAINT ai_responses_first_token_natural CHECK (first_token_micros >= 0),
    duration_micros bigint CONSTRAINT ai_responses_duration_natural CHECK (duration_micros >= 0),
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ai_responses_pkey PRIMARY KEY (user_id, id),
    -- The interaction, and with it its conversation.
    CONSTRAINT ai_responses_interaction FOREIGN KEY (user_id, conversation_id, interaction_id)
        REFERENCES ai_interactions (user_id, conversation_id, id)
);
COMMENT ON TABLE ai_responses IS 'What models answered: usage, cost and time';

-- The answers to the runs that a sign-in asked for, likewise.
CREATE INDEX idx_ai_responses_session_id ON ai_responses (user_id, session_id, interaction_id, id);

-- The answers to a conversation's runs, in the order of the runs: a page of both is one range of each.
CREATE INDEX idx_ai_responses_conversation_id ON ai_responses (user_id, conversation_id, interaction_id, id);

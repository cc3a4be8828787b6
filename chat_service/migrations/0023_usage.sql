-- What users have used, a row for a user's day and model: written with each run that ends, kept when the conversation goes.
CREATE TABLE ai_usage (
    user_id uuid NOT NULL,
    -- In UTC.
    day date NOT NULL,
    -- The model that was asked for.
    model text NOT NULL,
    runs bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_micros bigint NOT NULL,
    CONSTRAINT ai_usage_pkey PRIMARY KEY (user_id, day, model)
);
COMMENT ON TABLE ai_usage IS 'What models were used, by user, day and model';

-- Adding up changes no indexed column, so it stays on its page (HOT).
ALTER TABLE ai_usage SET (fillfactor = 80);

-- How models are to answer in a conversation: the model, its instructions and parameters, as JSON.
ALTER TABLE conversations
ADD COLUMN model_defaults json NOT NULL DEFAULT '{}',
ADD CONSTRAINT conversations_model_defaults_limit CHECK (
    json_typeof(model_defaults) = 'object' AND octet_length(model_defaults::text) <= 262144
) NOT VALID;

-- The answer in whose place a run writes another.
ALTER TABLE ai_interactions ADD COLUMN replaces_id uuid;

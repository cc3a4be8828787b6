-- What the service needs to run models itself; docs/generation.md has the states. A run that a caller recorded has no
-- busy policy and none of the rest.
ALTER TABLE ai_interactions
-- The number of chat.v1.BusyPolicy that it was asked with: 1 reject, 2 queue, 3 interrupt.
ADD COLUMN busy_policy smallint,
-- The branch that the answer goes to, and the message that it answers.
ADD COLUMN branch integer,
ADD COLUMN prompt_id uuid,
-- What the model is told beside the messages, as JSON.
ADD COLUMN parameters json,
-- A digest of what the request said, beside its request_id.
ADD COLUMN request_digest bytea,
-- When a worker took it; later than create_time where it waited.
ADD COLUMN start_time timestamptz,
-- The process that has it, until when that is believed without news of it, and how often it was taken. Every write of a
-- worker names the fence: whoever lost the run commits nothing.
ADD COLUMN worker uuid,
ADD COLUMN lease_expire_time timestamptz,
ADD COLUMN fence bigint NOT NULL DEFAULT 0,
-- The state in which the worker was asked to end it: 5 cancelled, 6 interrupted.
ADD COLUMN stop smallint,
-- While it runs, a prefix of what its readers were sent; in the end the text is in the message.
ADD COLUMN text text NOT NULL DEFAULT '',
-- The characters at which the text was cut into pieces as it came, so that it is read again in the same pieces.
ADD COLUMN chunk_ends integer [] NOT NULL DEFAULT '{}',
-- The components that were made of the answer, each beside its version.
ADD COLUMN component_ids uuid [] NOT NULL DEFAULT '{}',
ADD COLUMN component_versions integer [] NOT NULL DEFAULT '{}',
-- Whether the provider did not tell the tokens, and they are counted by us.
ADD COLUMN usage_estimated boolean NOT NULL DEFAULT false,
ADD CONSTRAINT ai_interactions_busy_policy_known CHECK (busy_policy BETWEEN 1 AND 3) NOT VALID,
ADD CONSTRAINT ai_interactions_generated_whole CHECK (
    (busy_policy IS NULL) = (branch IS NULL) AND (busy_policy IS NULL) = (parameters IS NULL)
) NOT VALID,
ADD CONSTRAINT ai_interactions_recorded_ended CHECK (busy_policy IS NOT NULL OR state > 2) NOT VALID,
ADD CONSTRAINT ai_interactions_held_if_running CHECK (
    (state = 2) = (worker IS NOT NULL)
    AND (state = 2) = (lease_expire_time IS NOT NULL)
    AND (state <> 2 OR (start_time IS NOT NULL AND fence > 0))
) NOT VALID,
ADD CONSTRAINT ai_interactions_stop_known CHECK (stop IN (5, 6)) NOT VALID,
ADD CONSTRAINT ai_interactions_text_while_running CHECK (state = 2 OR text = '') NOT VALID,
ADD CONSTRAINT ai_interactions_components_paired CHECK (
    cardinality(component_ids) = cardinality(component_versions)
) NOT VALID;

-- A run is written to each second while it runs, and no indexed column changes then: it stays on its page (HOT).
ALTER TABLE ai_interactions SET (fillfactor = 70);

ALTER TABLE ai_responses
-- Who was asked, by the name in the settings; empty where a caller recorded the answer.
ADD COLUMN provider text NOT NULL DEFAULT '',
-- Why the attempt failed; empty where it did not.
ADD COLUMN error_code text NOT NULL DEFAULT '',
ADD COLUMN usage_estimated boolean NOT NULL DEFAULT false;

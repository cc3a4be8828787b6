-- What 0021 asks of rows that were there before.
ALTER TABLE conversations VALIDATE CONSTRAINT conversations_model_defaults_limit;

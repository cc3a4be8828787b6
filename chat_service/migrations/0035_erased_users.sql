-- Users whom auth has erased. The latest moment is where to go on asking auth from: it stands beside what it is about, so
-- that after a restore of this database chat hears again of whom the backup brought back.
CREATE TABLE erased_users (
    user_id uuid NOT NULL,
    -- When auth erased them.
    erase_time timestamptz NOT NULL,
    -- When nothing of theirs was left here.
    finish_time timestamptz,
    CONSTRAINT erased_users_pkey PRIMARY KEY (user_id)
);
COMMENT ON TABLE erased_users IS 'Users whom auth has erased, and since when nothing of theirs is left here';

-- Where to go on from.
CREATE INDEX erased_users_erase_time_idx ON erased_users (erase_time);

-- Of whom something may be left, the longest erased first: few among many.
CREATE INDEX erased_users_unfinished_idx ON erased_users (erase_time) WHERE finish_time IS NULL;

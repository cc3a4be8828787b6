-- Branches: other ways in which a conversation goes on. The trunk, branch 1, has no row.
CREATE TABLE conversation_branches (
    user_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    branch integer NOT NULL CONSTRAINT conversation_branches_not_the_trunk CHECK (branch > 1),
    -- The branch that owns the message after which this one begins, and that message's depth: 0 where it begins the
    -- conversation anew, which the trunk is then the parent of. So all that could stand in one place have one parent.
    parent integer NOT NULL CONSTRAINT conversation_branches_parent_before CHECK (parent BETWEEN 1 AND branch - 1),
    fork_depth bigint NOT NULL CONSTRAINT conversation_branches_fork_depth_natural CHECK (fork_depth >= 0),
    -- The path from the beginning of the conversation to this branch: the branches it goes along, and the depth up to
    -- which it goes along each. The last is this one, without an end.
    lineage_branches integer[] NOT NULL,
    lineage_depths bigint[] NOT NULL,
    revision bigint NOT NULL,
    -- The sign-in that made it.
    session_id uuid NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversation_branches_pkey PRIMARY KEY (user_id, conversation_id, branch),
    CONSTRAINT conversation_branches_lineage_parallel CHECK (
        cardinality(lineage_branches) = cardinality(lineage_depths)
        AND lineage_branches[cardinality(lineage_branches)] = branch
    ),
    CONSTRAINT conversation_branches_conversation
        FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id)
);
COMMENT ON TABLE conversation_branches IS 'Other ways in which conversations go on, beside their trunks';

-- How many branches there are, the trunk among them: the number of the newest.
ALTER TABLE conversations ADD COLUMN branch_count integer NOT NULL DEFAULT 1;

-- The message in whose place this one was written; null where it was not.
ALTER TABLE chat_messages ADD COLUMN replaces uuid;

-- Conversations. The row also counts what is in the conversation: whoever writes into one first takes this row's lock,
-- so positions and revisions have no gap, and the order of commits is their order.
-- Every unique key of every table here leads with user_id, and every foreign key has it: the tables can be distributed
-- by user_id (Citus, or hash partitions) as they are.
CREATE TABLE conversations (
    user_id uuid NOT NULL,
    -- UUIDv7, so the primary key read backwards is the newest first.
    id uuid NOT NULL,
    title text NOT NULL DEFAULT ''
        CONSTRAINT conversations_title_length CHECK (char_length(title) <= 200),
    pinned boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    -- The client's own notes, at most 16 KiB. Kept as they are, so json: jsonb would lose what its numbers cannot tell.
    metadata json NOT NULL DEFAULT '{}'
        CONSTRAINT conversations_metadata_object CHECK (json_typeof(metadata) = 'object')
        CONSTRAINT conversations_metadata_limit CHECK (octet_length(metadata::text) <= 16384),
    -- The branch that new messages go to, and the depth of the last message on it. The trunk is branch 1.
    active_branch integer NOT NULL DEFAULT 1,
    active_depth bigint NOT NULL DEFAULT 0,
    -- How many messages there are: the position of the last one.
    message_count bigint NOT NULL DEFAULT 0,
    -- Counts the changes to the conversation and to all in it.
    revision bigint NOT NULL DEFAULT 1,
    -- The revision that last wrote title, pinned, archived or metadata; the etag is made of it.
    etag_revision bigint NOT NULL DEFAULT 1,
    -- The client's name for the request that made it, and a digest of what that request said.
    request_id text CONSTRAINT conversations_request_id_length CHECK (char_length(request_id) <= 64),
    request_digest bytea,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    delete_time timestamptz,
    purge_time timestamptz,
    CONSTRAINT conversations_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT conversations_counted CHECK (message_count >= active_depth AND revision >= etag_revision),
    CONSTRAINT conversations_purged_if_deleted CHECK ((delete_time IS NULL) = (purge_time IS NULL)),
    CONSTRAINT conversations_request_digested CHECK ((request_id IS NULL) = (request_digest IS NULL))
);
COMMENT ON TABLE conversations IS 'Chat threads, with the counters of what is in each';

-- Room on each page for the next version of a row: an append changes no indexed column, so it stays on its page (HOT).
ALTER TABLE conversations SET (fillfactor = 70);

-- A repeat of a request finds the conversation that the first one made.
CREATE UNIQUE INDEX conversations_request_id_key ON conversations (user_id, request_id) WHERE request_id IS NOT NULL;

-- Only the pinned, only the archived: few among many. Those that are neither are found along the primary key.
CREATE INDEX conversations_pinned_idx ON conversations (user_id, id) WHERE pinned;
CREATE INDEX conversations_archived_idx ON conversations (user_id, id) WHERE archived;

-- Clean-up: what is due to go for good.
CREATE INDEX conversations_purge_time_idx ON conversations (purge_time) WHERE purge_time IS NOT NULL;

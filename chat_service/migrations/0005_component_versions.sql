-- What components were and are. Versions are only ever added.
CREATE TABLE component_versions (
    user_id uuid NOT NULL,
    component_id uuid NOT NULL,
    version integer NOT NULL CONSTRAINT component_versions_version_positive CHECK (version > 0),
    content text NOT NULL
        CONSTRAINT component_versions_content_limit CHECK (octet_length(content) <= 1000000),
    -- So that a page can end in time without reading the content.
    content_bytes integer NOT NULL,
    -- SHA-256 of the content's UTF-8.
    content_hash bytea NOT NULL
        CONSTRAINT component_versions_content_hash_length CHECK (octet_length(content_hash) = 32),
    -- The sign-in that wrote it.
    session_id uuid NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    -- Also the order of a component's versions.
    CONSTRAINT component_versions_pkey PRIMARY KEY (user_id, component_id, version),
    CONSTRAINT component_versions_component FOREIGN KEY (user_id, component_id) REFERENCES components (user_id, id)
);
COMMENT ON TABLE component_versions IS 'Every version of every component';

-- What happened to accounts and sessions, for people who must know later (ASVS 16.3).
CREATE TABLE audit_events (
    id uuid CONSTRAINT audit_events_pkey PRIMARY KEY,
    type text NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid,
    address text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE audit_events IS 'Security events of accounts and sessions';

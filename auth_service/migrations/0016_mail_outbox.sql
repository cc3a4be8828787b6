-- Mails that are to be sent: written with the change that causes them, sent by whichever replica comes first, and
-- removed when the mail server has taken them.
CREATE TABLE mail_outbox (
    id uuid CONSTRAINT mail_outbox_pkey PRIMARY KEY,
    -- What is told, for measures and logs.
    kind text NOT NULL,
    -- To whom and with which facts: sealed under the master key (AES-256-GCM, with the id as context), for it has
    -- addresses of people. No code and no link stands in it: those are made when the mail is.
    content_sealed bytea NOT NULL,
    -- How often a sender has taken it. Who gives it back must name the same number, so that a sender that was held up
    -- touches nothing that another one has taken meanwhile.
    attempts integer NOT NULL DEFAULT 0,
    -- Not before. A sender that takes a mail moves this to the end of its lease.
    due_time timestamptz NOT NULL DEFAULT now(),
    -- From then on nobody needs it.
    expire_time timestamptz NOT NULL,
    -- What the mail server said when it refused the mail for good; null while it is to be sent.
    failure text,
    create_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE mail_outbox IS 'Mails to be sent';

-- What is to be sent next.
CREATE INDEX mail_outbox_due ON mail_outbox (due_time) WHERE failure IS NULL;

-- Clean-up.
CREATE INDEX mail_outbox_expire ON mail_outbox (expire_time);

-- squawk-ignore-file prefer-bigint-over-int
-- (attempts are few)
--
-- What other systems must hear of stands in the same transaction as what happened (transactional outbox).

CREATE TABLE core.outbox (
    event_no bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
    event_type text NOT NULL,
    aggregate_id uuid NOT NULL,
    account_ids uuid [] NOT NULL,
    payload jsonb,
    hold_seq bigint,
    balance numeric(18, 2),
    trace_id text,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    next_attempt_at timestamptz,
    published_at timestamptz,
    dead_at timestamptz
);

CREATE INDEX idx_outbox_pending ON core.outbox (event_no) WHERE published_at IS NULL AND dead_at IS NULL;

COMMENT ON TABLE core.outbox IS 'Events to publish. Numbers are drawn while the accounts are locked, so they ascend in the order of what happened to each account.';
COMMENT ON COLUMN core.outbox.aggregate_id IS 'The transaction or the hold.';
COMMENT ON COLUMN core.outbox.account_ids IS 'Whose order the event keeps.';
COMMENT ON COLUMN core.outbox.payload IS 'NULL for postings and holds: made from their logs when it is read.';
COMMENT ON COLUMN core.outbox.hold_seq IS 'Of a hold: the row of core.hold_log that the event tells of.';
COMMENT ON COLUMN core.outbox.balance IS 'Of a hold: the account''s balance at that moment, which core.hold_log does not say.';

-- Who did what to the bank, beside what was done: a mutation's record stands in the mutation's own transaction, so that
-- neither is there without the other. A refusal has a record of its own.

CREATE TABLE core.audit_log (
    audit_no bigint NOT NULL CONSTRAINT audit_log_pkey PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    db_user text NOT NULL,
    actor text,
    action text NOT NULL,
    target text NOT NULL,
    outcome text NOT NULL,
    trace_id text,
    correlation_id text,
    details jsonb NOT NULL DEFAULT '{}',
    xid xid8 NOT NULL,
    CONSTRAINT chk_audit_log_action CHECK (action ~ '^[a-z][a-z0-9-]{0,49}([.][a-z][a-z0-9-]{0,49}){1,3}$'),
    CONSTRAINT chk_audit_log_target CHECK (octet_length(target) BETWEEN 1 AND 500),
    CONSTRAINT chk_audit_log_outcome CHECK (outcome IN ('done', 'refused', 'failed')),
    CONSTRAINT chk_audit_log_details
    CHECK (jsonb_typeof(details) = 'object' AND octet_length(details::text) <= 100000)
);

CREATE INDEX idx_audit_log_trace_id ON core.audit_log (trace_id);
CREATE INDEX idx_audit_log_occurred_at ON core.audit_log (occurred_at);
CREATE INDEX idx_audit_log_xid ON core.audit_log (xid);
INSERT INTO core.sealed_tables (relation) VALUES ('core.audit_log');

COMMENT ON TABLE core.audit_log IS 'Mutations of the bank and refused attempts: who, what, with which outcome. Append-only.';
COMMENT ON COLUMN core.audit_log.db_user IS 'The role that logged in, whatever it has become since.';
COMMENT ON COLUMN core.audit_log.actor IS 'Who says to have asked: the caller''s ARN, or what --actor gave.';
COMMENT ON COLUMN core.audit_log.xid IS 'The transaction that wrote it: by it seals say which records they are over.';
COMMENT ON COLUMN core.audit_log.target IS 'What it was done to, as in dev/bank_core/<id>.';

CREATE SEQUENCE core.audit_log_audit_no_seq OWNED BY core.audit_log.audit_no;

-- Number, time, role and transaction are the database's to say, whoever inserts.
CREATE FUNCTION core.stamp_audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.audit_no := nextval('core.audit_log_audit_no_seq');
    NEW.occurred_at := clock_timestamp();
    NEW.db_user := session_user;
    NEW.xid := pg_current_xact_id();
    RETURN NEW;
END
$$;

CREATE TRIGGER trg_audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.audit_log
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_audit_log_stamp BEFORE INSERT ON core.audit_log
FOR EACH ROW EXECUTE FUNCTION core.stamp_audit();
ALTER TABLE core.audit_log ENABLE ALWAYS TRIGGER trg_audit_log_append_only;
ALTER TABLE core.audit_log ENABLE ALWAYS TRIGGER trg_audit_log_stamp;

ALTER TABLE core.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE core.audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_log_read ON core.audit_log FOR SELECT USING (true);
CREATE POLICY audit_log_add ON core.audit_log FOR INSERT TO bank_core_migrate_user WITH CHECK (true);

-- Write one record, into the transaction that it is about.
CREATE FUNCTION core.record_audit(
    p_action text, p_target text, p_outcome text DEFAULT 'done', p_actor text DEFAULT NULL, p_trace_id text DEFAULT NULL,
    p_correlation_id text DEFAULT NULL, p_details jsonb DEFAULT '{}'
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO core.audit_log AS l (action, target, outcome, actor, trace_id, correlation_id, details)
    VALUES (p_action, p_target, p_outcome, p_actor, p_trace_id, p_correlation_id, coalesce(p_details, '{}'))
    RETURNING l.audit_no
$$;

REVOKE EXECUTE ON FUNCTION
    core.stamp_audit(),
    core.record_audit(text, text, text, text, text, text, jsonb)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core.record_audit(text, text, text, text, text, text, jsonb)
TO bank_core_app_user, bank_core_resolution_officer;

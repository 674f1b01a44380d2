-- squawk-ignore-file ban-create-domain-with-constraint
-- Open Bank Resolution (MOD-143): the state of the bank, and the record of what was done about it.
--
-- The state moves only along these edges: normal <-> pre_positioned, pre_positioned -> activated -> resolved ->
-- pre_positioned. What touches activated or resolved is done by the trigger of an event (V015), never by an UPDATE.

CREATE DOMAIN core.resolution_state AS text
    CONSTRAINT chk_resolution_state CHECK (VALUE IN ('normal', 'pre_positioned', 'activated', 'resolved'));

CREATE TABLE core.obr_resolution_state (
    id text NOT NULL DEFAULT 'current' CONSTRAINT obr_resolution_state_pkey PRIMARY KEY,
    jurisdiction core.jurisdiction_code NOT NULL DEFAULT 'NZ',
    resolution_state core.resolution_state NOT NULL,
    haircut_pct numeric(5, 4),
    de_minimis_amount numeric(18, 2),
    equal_shares boolean,
    rbnz_instruction_ref text,
    activation_event_id uuid,
    partition_event_id uuid,
    quantified_at timestamptz,
    released_pct numeric(5, 2),
    activated_at timestamptz,
    activated_by text,
    resolved_at timestamptz,
    resolved_by text,
    last_event_no bigint NOT NULL DEFAULT 0,
    last_trace_id text,
    last_correlation_id text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT chk_obr_resolution_state_singleton CHECK (id = 'current'),
    CONSTRAINT chk_obr_resolution_state_de_minimis CHECK (de_minimis_amount >= 0),
    CONSTRAINT chk_obr_resolution_state_haircut CHECK (haircut_pct BETWEEN 0 AND 1),
    CONSTRAINT chk_obr_resolution_state_released CHECK (released_pct BETWEEN 0 AND 100),
    CONSTRAINT chk_activated_fields_iff_active CHECK (
        num_nulls(haircut_pct, de_minimis_amount, equal_shares, rbnz_instruction_ref, activation_event_id,
            partition_event_id, quantified_at, released_pct, activated_at, activated_by)
        = CASE WHEN resolution_state IN ('activated', 'resolved') THEN 0 ELSE 10 END
    ),
    CONSTRAINT chk_resolved_fields_iff_resolved CHECK (
        num_nulls(resolved_at, resolved_by) = CASE WHEN resolution_state = 'resolved' THEN 0 ELSE 2 END
    )
);

COMMENT ON TABLE core.obr_resolution_state IS 'Where the bank stands in a resolution: one row (MOD-143).';
COMMENT ON COLUMN core.obr_resolution_state.jurisdiction IS 'Whose regime it is. NZ; the Australian one does not exist yet and is refused.';
COMMENT ON COLUMN core.obr_resolution_state.quantified_at IS 'The instant at which balances were struck.';
COMMENT ON COLUMN core.obr_resolution_state.partition_event_id IS 'The activation or release whose evidence says what is frozen now.';
COMMENT ON COLUMN core.obr_resolution_state.released_pct IS 'How much of what was frozen at activation has been released since.';
COMMENT ON COLUMN core.obr_resolution_state.last_event_no IS 'event_no of the last event: none is missing, none can be cut off.';

CREATE TABLE core.obr_partition_events (
    event_id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT obr_partition_events_pkey PRIMARY KEY,
    event_no bigint NOT NULL CONSTRAINT uniq_obr_partition_events_event_no UNIQUE,
    event_type text NOT NULL,
    jurisdiction core.jurisdiction_code NOT NULL,
    status core.resolution_state NOT NULL,
    haircut_pct numeric(5, 4),
    de_minimis_amount numeric(18, 2),
    equal_shares boolean,
    released_pct numeric(5, 2),
    rbnz_instruction_ref text,
    authority text,
    quantified_at timestamptz,
    accounts_partitioned bigint NOT NULL,
    total_frozen_amount numeric(20, 2) NOT NULL,
    total_available_amount numeric(20, 2) NOT NULL,
    activated_by text NOT NULL,
    db_user text NOT NULL,
    idempotency_key core.idempotency_key NOT NULL CONSTRAINT uniq_obr_partition_events_idempotency_key UNIQUE,
    request_hash core.sha256_hash NOT NULL,
    trace_id text,
    correlation_id text,
    occurred_at timestamptz NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT chk_obr_partition_events_event_type CHECK (
        event_type IN ('OBR_ACTIVATED', 'OBR_RELEASED', 'OBR_UNWOUND', 'OBR_REARMED', 'OBR_PARTITION_RECONCILED')
    ),
    CONSTRAINT chk_obr_partition_events_status CHECK (status IN ('pre_positioned', 'activated', 'resolved')),
    CONSTRAINT chk_obr_partition_events_de_minimis CHECK (de_minimis_amount >= 0),
    CONSTRAINT chk_obr_partition_events_haircut CHECK (haircut_pct BETWEEN 0 AND 1),
    CONSTRAINT chk_obr_partition_events_released CHECK (released_pct BETWEEN 0 AND 100),
    -- The regulator's signature, or two officers'; a reconciliation needs nobody's.
    CONSTRAINT chk_obr_partition_events_authority CHECK (authority IN ('REGULATOR', 'EMERGENCY')),
    CONSTRAINT chk_obr_partition_events_authorised CHECK ((event_type = 'OBR_PARTITION_RECONCILED') = (authority IS NULL))
);

COMMENT ON TABLE core.obr_partition_events IS 'The regulatory record: each activation, release, unwind, re-arming and reconciliation. Append-only (REP-001).';
COMMENT ON COLUMN core.obr_partition_events.status IS 'The state after it.';
COMMENT ON COLUMN core.obr_partition_events.total_frozen_amount IS 'Sum over all accounts, after it (of an unwind: before it); by currency in metadata.';
COMMENT ON COLUMN core.obr_partition_events.activated_by IS 'Who asked for it.';
COMMENT ON COLUMN core.obr_partition_events.request_hash IS 'What was asked for under idempotency_key.';

CREATE TRIGGER trg_obr_partition_events_no_update BEFORE UPDATE ON core.obr_partition_events
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_partition_events_no_delete BEFORE DELETE ON core.obr_partition_events
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_partition_events_no_truncate BEFORE TRUNCATE ON core.obr_partition_events
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE core.obr_partition_events ENABLE ALWAYS TRIGGER trg_obr_partition_events_no_update;
ALTER TABLE core.obr_partition_events ENABLE ALWAYS TRIGGER trg_obr_partition_events_no_delete;
ALTER TABLE core.obr_partition_events ENABLE ALWAYS TRIGGER trg_obr_partition_events_no_truncate;

-- Everything that is put on record about a resolution, in one chain: each row of the record's tables, in the order in
-- which they were written, by its hash; what an event says of its evidence is part of the event's row. A row that is
-- altered, removed, added or moved past the triggers is named by it; a chain that was made anew, by the seals (V007).
CREATE TABLE core.obr_chain (
    link_no bigint NOT NULL CONSTRAINT obr_chain_pkey PRIMARY KEY,
    relation text NOT NULL,
    row_key text NOT NULL,
    row_hash bytea NOT NULL,
    previous_hash bytea NOT NULL,
    link_hash bytea NOT NULL CONSTRAINT uniq_obr_chain_link_hash UNIQUE,
    xid xid8 NOT NULL,
    CONSTRAINT uniq_obr_chain_row UNIQUE (relation, row_key),
    CONSTRAINT chk_obr_chain_link_no CHECK (link_no >= 1),
    CONSTRAINT chk_obr_chain_hashes
    CHECK (octet_length(row_hash) = 32 AND octet_length(previous_hash) = 32 AND octet_length(link_hash) = 32)
);

CREATE INDEX idx_obr_chain_xid ON core.obr_chain (xid);
INSERT INTO core.sealed_tables (relation, by_itself) VALUES ('core.obr_chain', true);

COMMENT ON TABLE core.obr_chain IS 'The hash chain over all rows of the resolution''s record. Append-only, written by trigger.';
COMMENT ON COLUMN core.obr_chain.row_hash IS 'SHA-256 of the row as jsonb text, without what is NULL, its times in UTC.';
COMMENT ON COLUMN core.obr_chain.link_hash IS 'SHA-256 of previous_hash, link_no, relation and row_key with their lengths, row_hash.';
COMMENT ON COLUMN core.obr_chain.xid IS 'The transaction that wrote it: by it seals say which links they are over.';

CREATE TRIGGER trg_obr_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.obr_chain
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_obr_chain_written_by_trigger BEFORE INSERT ON core.obr_chain
FOR EACH STATEMENT WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION core.refuse_direct_write();
ALTER TABLE core.obr_chain ENABLE ALWAYS TRIGGER trg_obr_chain_append_only;
ALTER TABLE core.obr_chain ENABLE ALWAYS TRIGGER trg_obr_chain_written_by_trigger;

-- TG_ARGV[0]: the column that the row is named by. How values are written must not depend on who writes the row. What is
-- NULL is left out, so that a later column leaves the hashes of older rows as they are.
CREATE FUNCTION core.link_obr_record() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
DECLARE
    facts jsonb := to_jsonb(NEW);
    l core.obr_chain;
BEGIN
    PERFORM FROM core.obr_resolution_state AS s WHERE s.id = 'current' FOR UPDATE; -- one link after the other
    SELECT c.link_no + 1, c.link_hash INTO l.link_no, l.previous_hash FROM core.obr_chain AS c ORDER BY c.link_no DESC LIMIT 1;
    l.link_no := coalesce(l.link_no, 1);
    l.previous_hash := coalesce(l.previous_hash, '\x0000000000000000000000000000000000000000000000000000000000000000');
    l.relation := TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME;
    l.row_key := facts ->> TG_ARGV[0];
    SELECT sha256(convert_to(jsonb_object_agg(f.key, f.value)::text, 'UTF8')) INTO l.row_hash
    FROM jsonb_each(facts) AS f
    WHERE f.value <> 'null';
    l.link_hash := sha256(l.previous_hash || int8send(l.link_no) || convert_to(concat(octet_length(l.relation), ':', l.relation,
        octet_length(l.row_key), ':', l.row_key), 'UTF8') || l.row_hash);
    l.xid := pg_current_xact_id();
    INSERT INTO core.obr_chain SELECT l.*;
    RETURN NULL;
END
$$;

CREATE TRIGGER trg_obr_partition_events_linked AFTER INSERT ON core.obr_partition_events
FOR EACH ROW EXECUTE FUNCTION core.link_obr_record('event_no');
ALTER TABLE core.obr_partition_events ENABLE ALWAYS TRIGGER trg_obr_partition_events_linked;

-- pg_trigger_depth() is 1 here for whoever writes the row himself, more where an event does.
CREATE FUNCTION core.guard_obr_state() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    same core.obr_resolution_state;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.resolution_state NOT IN ('normal', 'pre_positioned') THEN
            RAISE EXCEPTION 'a bank does not begin as %', NEW.resolution_state
                USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_TRANSITION_REFUSED';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.resolution_state <> NEW.resolution_state AND (OLD.resolution_state, NEW.resolution_state) NOT IN (
        ('normal', 'pre_positioned'), ('pre_positioned', 'normal'), ('pre_positioned', 'activated'),
        ('activated', 'resolved'), ('resolved', 'pre_positioned')
    ) THEN
        RAISE EXCEPTION 'the resolution state does not go from % to %', OLD.resolution_state, NEW.resolution_state
            USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_TRANSITION_REFUSED';
    END IF;
    IF pg_catalog.pg_trigger_depth() < 2 THEN
        -- By hand: preparing for the regime or leaving it, and the trace fields.
        same := OLD;
        same.last_trace_id := NEW.last_trace_id;
        same.last_correlation_id := NEW.last_correlation_id;
        same.updated_at := NEW.updated_at;
        IF OLD.resolution_state IN ('normal', 'pre_positioned') AND NEW.resolution_state IN ('normal', 'pre_positioned') THEN
            same.resolution_state := NEW.resolution_state;
            same.jurisdiction := NEW.jurisdiction;
        END IF;
        IF same IS DISTINCT FROM NEW THEN
            RAISE EXCEPTION 'the resolution state is written by resolution events only'
                USING ERRCODE = 'NB030', CONSTRAINT = 'OBR_STATE_MANAGED';
        END IF;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER trg_obr_resolution_state_guard BEFORE INSERT OR UPDATE ON core.obr_resolution_state
FOR EACH ROW EXECUTE FUNCTION core.guard_obr_state();
CREATE TRIGGER trg_obr_resolution_state_kept BEFORE DELETE OR TRUNCATE ON core.obr_resolution_state
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE core.obr_resolution_state ENABLE ALWAYS TRIGGER trg_obr_resolution_state_guard;
ALTER TABLE core.obr_resolution_state ENABLE ALWAYS TRIGGER trg_obr_resolution_state_kept;

REVOKE EXECUTE ON FUNCTION core.guard_obr_state(), core.link_obr_record() FROM PUBLIC;

INSERT INTO core.obr_resolution_state (id, resolution_state) VALUES ('current', 'pre_positioned') ON CONFLICT (id) DO NOTHING;

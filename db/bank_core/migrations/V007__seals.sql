-- squawk-ignore-file prefer-bigint-over-int
-- (`version` is an int in the contract)
--
-- Seals: the heads of every account's chains at one instant, and what the account was by then, chained themselves. One
-- exported outside the database convicts whoever rewrites a chain from its first row on.

CREATE TABLE core.log_seals (
    seal_no bigint NOT NULL CONSTRAINT log_seals_pkey PRIMARY KEY,
    previous_hash core.sha256_hash NOT NULL,
    accounts bigint NOT NULL,
    log_rows bigint NOT NULL,
    hold_rows bigint NOT NULL,
    batch_hash core.sha256_hash NOT NULL,
    seal_hash core.sha256_hash NOT NULL CONSTRAINT uniq_log_seals_seal_hash UNIQUE,
    sealed_at timestamptz NOT NULL,
    actor text,
    trace_id text,
    CONSTRAINT chk_log_seals_seal_no CHECK (seal_no >= 1)
);

CREATE TABLE core.log_seal_entries (
    account_id uuid NOT NULL,
    seal_no bigint NOT NULL CONSTRAINT fk_log_seal_entries_seal_no REFERENCES core.log_seals (seal_no)
    DEFERRABLE INITIALLY DEFERRED,
    seq bigint NOT NULL,
    head core.sha256_hash NOT NULL,
    hold_seq bigint NOT NULL,
    hold_head core.sha256_hash NOT NULL,
    version integer NOT NULL,
    facts core.sha256_hash NOT NULL,
    CONSTRAINT log_seal_entries_pkey PRIMARY KEY (account_id, seal_no)
);

CREATE INDEX idx_log_seal_entries_seal_no ON core.log_seal_entries (seal_no);

COMMENT ON TABLE core.log_seals IS 'Seals over the chains of all accounts, each over the one before. Append-only.';
COMMENT ON COLUMN core.log_seals.log_rows IS 'Rows of core.transaction_log at that instant.';
COMMENT ON TABLE core.log_seal_entries IS 'Heads of the accounts that moved since their last entry, and of new ones. Append-only.';
COMMENT ON COLUMN core.log_seal_entries.version IS 'The account''s version at that instant.';
COMMENT ON COLUMN core.log_seal_entries.facts IS 'Hash of what never changes of the account, and of its changes of standing up to that version.';

-- Other append-only tables that seals are over, each with a column xid: the transaction that wrote the row. Which rows a
-- seal is over is said by a range of transactions that have all ended, so it never changes afterwards.
CREATE TABLE core.sealed_tables (
    relation text NOT NULL CONSTRAINT sealed_tables_pkey PRIMARY KEY,
    by_itself boolean NOT NULL DEFAULT false
);

CREATE TABLE core.log_seal_records (
    relation text NOT NULL,
    seal_no bigint NOT NULL CONSTRAINT fk_log_seal_records_seal_no REFERENCES core.log_seals (seal_no)
    DEFERRABLE INITIALLY DEFERRED,
    from_xid xid8 NOT NULL,
    upto_xid xid8 NOT NULL,
    records bigint NOT NULL,
    hash core.sha256_hash NOT NULL,
    CONSTRAINT log_seal_records_pkey PRIMARY KEY (relation, seal_no)
);

COMMENT ON TABLE core.sealed_tables IS 'Append-only tables beside the chains that seals are over.';
COMMENT ON COLUMN core.sealed_tables.by_itself IS 'What is new there is sealed although no account moved.';
COMMENT ON TABLE core.log_seal_records IS 'Which of their rows a seal is over: those of transactions from_xid up to, not including, upto_xid. Append-only.';
COMMENT ON COLUMN core.log_seal_records.hash IS 'Over the hashes of the rows (record_send), in the order of those hashes.';

CREATE TRIGGER trg_log_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.log_seals
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_log_seal_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.log_seal_entries
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_log_seal_records_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.log_seal_records
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE core.log_seal_records ENABLE ALWAYS TRIGGER trg_log_seal_records_append_only;
ALTER TABLE core.log_seals ENABLE ALWAYS TRIGGER trg_log_seals_append_only;
ALTER TABLE core.log_seal_entries ENABLE ALWAYS TRIGGER trg_log_seal_entries_append_only;

-- What was added to the other tables since they were sealed; what of them the seal's batch is over. The encoding, because
-- record_send writes texts in the caller's.
CREATE FUNCTION core.seal_records(p_seal_no bigint) RETURNS bytea
LANGUAGE plpgsql SET client_encoding = 'UTF8' AS $$
DECLARE
    horizon xid8 := pg_snapshot_xmin(pg_current_snapshot()); -- every transaction before it has ended
    t record;
    n bigint;
    h bytea;
BEGIN
    FOR t IN
        SELECT s.relation, coalesce((SELECT max(r.upto_xid) FROM core.log_seal_records AS r WHERE r.relation = s.relation), '0') AS since
        FROM core.sealed_tables AS s
        ORDER BY s.relation
    LOOP
        EXECUTE format('SELECT count(*), sha256(string_agg(y.h, '''' ORDER BY y.h)) FROM (SELECT sha256(record_send(x)) AS h'
            ' FROM %s AS x WHERE x.xid >= $1 AND x.xid < $2) AS y', t.relation::regclass) INTO n, h USING t.since, horizon;
        IF n > 0 THEN
            INSERT INTO core.log_seal_records (relation, seal_no, from_xid, upto_xid, records, hash)
            VALUES (t.relation, p_seal_no, t.since, horizon, n, h);
        END IF;
    END LOOP;
    RETURN (
        SELECT string_agg(convert_to(octet_length(r.relation) || ':' || r.relation, 'UTF8') || xid8send(r.from_xid)
            || xid8send(r.upto_xid) || int8send(r.records) || r.hash, '' ORDER BY r.relation)
        FROM core.log_seal_records AS r
        WHERE r.seal_no = p_seal_no
    );
END
$$;

-- Is there anything new in the tables that are sealed by themselves?
CREATE FUNCTION core.records_to_seal() RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    horizon xid8 := pg_snapshot_xmin(pg_current_snapshot());
    t record;
    found_one boolean;
BEGIN
    FOR t IN
        SELECT s.relation, coalesce((SELECT max(r.upto_xid) FROM core.log_seal_records AS r WHERE r.relation = s.relation), '0') AS since
        FROM core.sealed_tables AS s
        WHERE s.by_itself
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS x WHERE x.xid >= $1 AND x.xid < $2)', t.relation::regclass)
        INTO found_one USING t.since, horizon;
        IF found_one THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;

-- Seal what moved since the last seal; nothing new: the last seal again.
CREATE FUNCTION core.seal_log(
    p_actor text DEFAULT NULL, p_trace_id text DEFAULT NULL,
    OUT seal_no bigint, OUT previous_hash bytea, OUT accounts bigint, OUT log_rows bigint, OUT hold_rows bigint,
    OUT batch_hash bytea, OUT seal_hash bytea, OUT sealed_at timestamptz, OUT created boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last core.log_seals;
    records bytea;
BEGIN
    LOCK TABLE core.log_seals IN SHARE ROW EXCLUSIVE MODE; -- one seal at a time
    SELECT s.* INTO last FROM core.log_seals AS s ORDER BY s.seal_no DESC LIMIT 1;
    seal_no := coalesce(last.seal_no, 0) + 1;
    previous_hash := coalesce(last.seal_hash, '\x0000000000000000000000000000000000000000000000000000000000000000');
    sealed_at := clock_timestamp();
    -- One statement, so one instant for all heads.
    WITH heads AS MATERIALIZED (
        SELECT a.account_id, a.log_seq, a.log_head, a.hold_seq, a.hold_head, a.version FROM accounts.accounts AS a
    ), entries AS (
        INSERT INTO core.log_seal_entries (account_id, seal_no, seq, head, hold_seq, hold_head, version, facts)
        SELECT h.account_id, seal_log.seal_no, h.log_seq, h.log_head, h.hold_seq, h.hold_head, h.version, sha256(uuid_send(a.account_id) || timestamptz_send(a.opened_at)
            || int8send((a.overdraft_limit * 100)::bigint) || boolsend(a.is_internal) || coalesce(uuid_send(a.shard_of), '')
            || convert_to(concat(octet_length(a.account_number), ':', a.account_number, octet_length(a.product_code), ':',
                a.product_code, octet_length(a.currency), ':', a.currency, octet_length(a.jurisdiction), ':', a.jurisdiction,
                octet_length(a.idempotency_key), ':', a.idempotency_key, encode(a.request_hash, 'hex')), 'UTF8')
            || coalesce((
                SELECT string_agg(int4send(c.version) || timestamptz_send(c.changed_at) || convert_to(concat(
                    octet_length(c.from_status), ':', c.from_status, octet_length(c.from_restriction_reason), ':',
                    c.from_restriction_reason, octet_length(c.to_status), ':', c.to_status,
                    octet_length(c.to_restriction_reason), ':', c.to_restriction_reason, octet_length(c.db_user), ':', c.db_user,
                    octet_length(c.actor), ':', c.actor, octet_length(c.trace_id), ':', c.trace_id,
                    octet_length(c.correlation_id), ':', c.correlation_id), 'UTF8'), '' ORDER BY c.version)
                FROM accounts.status_changes AS c
                WHERE c.account_id = a.account_id AND c.version <= h.version
            ), ''))
        FROM heads AS h
        JOIN accounts.accounts AS a ON a.account_id = h.account_id
        LEFT JOIN (
            SELECT DISTINCT ON (e.account_id) e.account_id, e.version
            FROM core.log_seal_entries AS e
            ORDER BY e.account_id, e.seal_no DESC
        ) AS sealed ON sealed.account_id = h.account_id
        WHERE h.version > coalesce(sealed.version, -1)
        RETURNING account_id, seq, head, hold_seq, hold_head, version, facts
    )
    SELECT count(*), (SELECT coalesce(sum(h.log_seq), 0) FROM heads AS h), (SELECT coalesce(sum(h.hold_seq), 0) FROM heads AS h),
        sha256(coalesce(string_agg(uuid_send(e.account_id) || int8send(e.seq) || e.head || int8send(e.hold_seq) || e.hold_head
            || int4send(e.version) || e.facts, '' ORDER BY e.account_id), ''))
    INTO accounts, log_rows, hold_rows, batch_hash
    FROM entries AS e;
    created := accounts > 0 OR core.records_to_seal();
    IF created THEN
        records := core.seal_records(seal_no);
        batch_hash := CASE WHEN records IS NULL THEN batch_hash ELSE sha256(batch_hash || records) END;
        seal_hash := sha256(previous_hash || int8send(seal_no) || int8send(accounts) || int8send(log_rows) || int8send(hold_rows)
            || timestamptz_send(sealed_at) || batch_hash);
        INSERT INTO core.log_seals (seal_no, previous_hash, accounts, log_rows, hold_rows, batch_hash, seal_hash, sealed_at,
            actor, trace_id)
        VALUES (seal_log.seal_no, seal_log.previous_hash, seal_log.accounts, seal_log.log_rows, seal_log.hold_rows,
            seal_log.batch_hash, seal_log.seal_hash, seal_log.sealed_at, p_actor, p_trace_id);
    ELSE
        seal_no := last.seal_no;
        previous_hash := last.previous_hash;
        accounts := last.accounts;
        log_rows := last.log_rows;
        hold_rows := last.hold_rows;
        batch_hash := last.batch_hash;
        seal_hash := last.seal_hash;
        sealed_at := last.sealed_at;
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION core.seal_log(text, text), core.seal_records(bigint), core.records_to_seal() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION core.seal_log(text, text) TO bank_core_app_user;

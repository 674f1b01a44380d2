-- End-of-day balances (MOD-003, FR-431): per jurisdiction, as they were at the cutoff, however late the run.

CREATE TABLE accounts.daily_balance_snapshots (
    snapshot_date date NOT NULL,
    account_id uuid NOT NULL,
    jurisdiction text NOT NULL,
    currency text NOT NULL,
    balance numeric(18, 2) NOT NULL,
    available_balance numeric(18, 2) NOT NULL,
    held numeric(18, 2) NOT NULL,
    log_seq bigint NOT NULL,
    cutoff_at timestamptz NOT NULL,
    CONSTRAINT daily_balance_snapshots_pkey PRIMARY KEY (snapshot_date, account_id)
) PARTITION BY RANGE (snapshot_date);

COMMENT ON TABLE accounts.daily_balance_snapshots IS 'Each account''s figures at the end of a day. Append-only; one partition a month, kept for seven years.';
COMMENT ON COLUMN accounts.daily_balance_snapshots.held IS 'Holds active at the cutoff.';
COMMENT ON COLUMN accounts.daily_balance_snapshots.log_seq IS 'The account''s last row of core.transaction_log by then: the figure can be proven from it.';

CREATE TABLE core.eod_runs (
    jurisdiction core.jurisdiction_code NOT NULL,
    snapshot_date date NOT NULL,
    cutoff_at timestamptz NOT NULL,
    accounts bigint NOT NULL,
    totals jsonb NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text,
    trace_id text,
    CONSTRAINT eod_runs_pkey PRIMARY KEY (jurisdiction, snapshot_date)
);

COMMENT ON TABLE core.eod_runs IS 'One row per finished end-of-day run: its snapshots are all there, or none is. Append-only.';
COMMENT ON COLUMN core.eod_runs.totals IS 'Per currency: accounts, balance, held.';

ALTER TABLE accounts.daily_balance_snapshots ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts.daily_balance_snapshots FORCE ROW LEVEL SECURITY;
CREATE POLICY daily_balance_snapshots_read ON accounts.daily_balance_snapshots FOR SELECT USING (true);
CREATE POLICY daily_balance_snapshots_add ON accounts.daily_balance_snapshots FOR INSERT TO bank_core_migrate_user
WITH CHECK (true);

CREATE TRIGGER trg_daily_balance_snapshots_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts.daily_balance_snapshots
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
CREATE TRIGGER trg_eod_runs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON core.eod_runs
FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change();
ALTER TABLE accounts.daily_balance_snapshots ENABLE ALWAYS TRIGGER trg_daily_balance_snapshots_append_only;
ALTER TABLE core.eod_runs ENABLE ALWAYS TRIGGER trg_eod_runs_append_only;

CREATE FUNCTION accounts.snapshot_cutoff(p_jurisdiction text, p_date date) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT (p_date + j.eod_local) AT TIME ZONE j.time_zone FROM core.jurisdictions AS j WHERE j.jurisdiction = p_jurisdiction
$$;

-- Dates whose cutoff has passed and that have no run: since the first run that had accounts, so that a day skipped between
-- two runs is due, too; since the last run where none had; the last such date where there is no run yet.
CREATE FUNCTION accounts.snapshots_due(p_now timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (jurisdiction text, snapshot_date date, cutoff_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT j.jurisdiction::text, d.day::date, accounts.snapshot_cutoff(j.jurisdiction, d.day::date)
    FROM (
        SELECT x.jurisdiction, (p_now AT TIME ZONE x.time_zone)::date
            - CASE WHEN (p_now AT TIME ZONE x.time_zone)::time <= x.eod_local THEN 1 ELSE 0 END AS newest,
            (
                SELECT coalesce(min(r.snapshot_date) FILTER (WHERE r.accounts > 0), max(r.snapshot_date))
                FROM core.eod_runs AS r
                WHERE r.jurisdiction = x.jurisdiction
            ) AS since
        FROM core.jurisdictions AS x
    ) AS j
    CROSS JOIN generate_series(coalesce(j.since + 1, j.newest), j.newest, interval '1 day') AS d (day)
    WHERE NOT EXISTS (SELECT FROM core.eod_runs AS r WHERE r.jurisdiction = j.jurisdiction AND r.snapshot_date = d.day::date)
    ORDER BY 3, 1
$$;

-- A month's partition, closed to everybody: policies do not reach who names a partition, so nobody may. Made beside the
-- table and then attached: made as a part of it, it would wait for every reader of snapshots, and they for it.
CREATE FUNCTION accounts.ensure_snapshot_partition(p_date date) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', p_date)::date;
    name text := 'daily_balance_snapshots_' || to_char(p_date, 'YYYY_MM');
    grantee text;
BEGIN
    IF to_regclass('accounts.' || name) IS NULL THEN
        EXECUTE format('CREATE TABLE accounts.%I (LIKE accounts.daily_balance_snapshots INCLUDING CONSTRAINTS INCLUDING INDEXES)',
            name);
        EXECUTE format('ALTER TABLE accounts.daily_balance_snapshots ATTACH PARTITION accounts.%I FOR VALUES FROM (%L) TO (%L)',
            name, first, first + interval '1 month');
        EXECUTE format('CREATE TRIGGER trg_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION core.refuse_change()', name);
        EXECUTE format('ALTER TABLE accounts.%I ENABLE ALWAYS TRIGGER trg_append_only', name);
        FOR grantee IN
            SELECT DISTINCT x.grantee::regrole::text
            FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS x
            WHERE c.oid = to_regclass('accounts.' || name) AND x.grantee <> c.relowner AND x.grantee <> 0
        LOOP
            EXECUTE format('REVOKE ALL ON accounts.%I FROM %s', name, grantee);
        END LOOP;
    END IF;
    RETURN name;
END
$$;

-- Postings and holds that were under way when this was called have ended when it returns true: nothing earlier can
-- still appear.
CREATE FUNCTION core.ledger_settled(p_wait interval) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + p_wait;
    others text[];
BEGIN
    SELECT array_agg(l.virtualtransaction) INTO others
    FROM pg_locks AS l
    WHERE l.locktype = 'relation' AND l.relation = 'core.ledger_lock'::regclass AND l.mode = 'RowShareLock' AND l.granted
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
        AND l.pid IS DISTINCT FROM pg_backend_pid(); -- NULL: a prepared transaction has none
    WHILE EXISTS (
        SELECT
        FROM pg_locks AS l
        WHERE l.locktype = 'relation' AND l.relation = 'core.ledger_lock'::regclass AND l.mode = 'RowShareLock' AND l.granted
            AND l.virtualtransaction = ANY(others)
    ) LOOP
        IF clock_timestamp() >= deadline THEN
            RETURN false;
        END IF;
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN true;
END
$$;

CREATE FUNCTION accounts.take_snapshot(
    p_jurisdiction text, p_snapshot_date date, p_wait interval DEFAULT '10 seconds', p_actor text DEFAULT NULL,
    p_trace_id text DEFAULT NULL,
    OUT jurisdiction text, OUT snapshot_date date, OUT cutoff_at timestamptz, OUT accounts bigint, OUT totals jsonb,
    OUT taken_at timestamptz, OUT replayed boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '256MB' SET jit = off AS $$
BEGIN
    IF (p_snapshot_date BETWEEN '2000-01-01' AND '9999-12-31') IS NOT TRUE THEN
        RAISE EXCEPTION 'no bank has a snapshot of %', p_snapshot_date
            USING ERRCODE = 'NB019', CONSTRAINT = 'SNAPSHOT_DATE_INVALID';
    END IF;
    cutoff_at := accounts.snapshot_cutoff(p_jurisdiction, p_snapshot_date);
    IF cutoff_at IS NULL THEN
        RAISE EXCEPTION 'no jurisdiction %', p_jurisdiction USING ERRCODE = 'NB019', CONSTRAINT = 'JURISDICTION_UNKNOWN';
    END IF;
    IF clock_timestamp() <= cutoff_at THEN
        RAISE EXCEPTION '% ends in % at %', p_snapshot_date, p_jurisdiction, core.rfc3339(cutoff_at)
            USING ERRCODE = 'NB019', CONSTRAINT = 'SNAPSHOT_TOO_EARLY';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a snapshot is taken in READ COMMITTED: it must see what ended while it waited'
            USING ERRCODE = 'NB023', CONSTRAINT = 'READ_COMMITTED_REQUIRED';
    END IF;
    IF NOT core.ledger_settled(p_wait) THEN
        RAISE EXCEPTION 'postings that began before are still under way'
            USING ERRCODE = 'NB020', CONSTRAINT = 'SNAPSHOT_NOT_READY';
    END IF;
    -- One run at a time for a jurisdiction; the second finds the first's row.
    LOCK TABLE core.eod_runs IN SHARE ROW EXCLUSIVE MODE;
    SELECT r.jurisdiction, r.snapshot_date, r.cutoff_at, r.accounts, r.totals, r.taken_at
    INTO take_snapshot.jurisdiction, take_snapshot.snapshot_date, take_snapshot.cutoff_at, take_snapshot.accounts,
        take_snapshot.totals, take_snapshot.taken_at
    FROM core.eod_runs AS r
    WHERE r.jurisdiction = p_jurisdiction AND r.snapshot_date = p_snapshot_date;
    replayed := FOUND;
    IF replayed THEN
        RETURN;
    END IF;
    jurisdiction := p_jurisdiction;
    snapshot_date := p_snapshot_date;
    cutoff_at := accounts.snapshot_cutoff(p_jurisdiction, p_snapshot_date);
    taken_at := clock_timestamp();
    -- One statement, so one instant. Straight into the partition and in the order of its key: finding the way for each row,
    -- and then a place in the middle of the index, took half of the time. Holds are joined in that order, too, which costs no
    -- sort where accounts lie in it, as ids of version 7 do. Then comes what few accounts need: who moved after the cutoff
    -- is looked up in the log, where posted_at ascends with seq. Amounts keep their type, so that none is rounded anew.
    EXECUTE format($insert$
        INSERT INTO accounts.%I (snapshot_date, account_id, jurisdiction, currency, balance, available_balance, held, log_seq,
            cutoff_at)
        SELECT $1, f.account_id, $2, f.currency, f.balance,
            CASE WHEN f.held IS NULL THEN f.balance ELSE (f.balance - f.held)::numeric(18, 2) END,
            coalesce(f.held, 0.00::numeric(18, 2)), f.log_seq, $3
        FROM (
            SELECT c.account_id, c.currency, c.held, c.log_seq, CASE
                WHEN c.log_seq = c.last_seq THEN c.balance
                ELSE coalesce((
                    SELECT x.balance_after
                    FROM core.transaction_log AS x
                    WHERE x.account_id = c.account_id AND x.seq = c.log_seq
                ), 0.00::numeric(18, 2))
            END AS balance
            FROM (
                SELECT n.account_id, n.currency, n.balance, n.held, n.last_seq, CASE
                    WHEN n.last_posted_at > $3 THEN coalesce((
                        SELECT x.seq
                        FROM core.transaction_log AS x
                        WHERE x.account_id = n.account_id AND x.posted_at <= $3
                        ORDER BY x.seq DESC
                        LIMIT 1
                    ), 0)
                    ELSE n.last_seq
                END AS log_seq
                FROM (
                    SELECT a.account_id, a.currency, a.balance, a.log_seq AS last_seq, a.last_posted_at, h.held
                    FROM accounts.accounts AS a
                    LEFT JOIN (
                        SELECT p.account_id, sum(p.amount)::numeric(18, 2) AS held
                        FROM accounts.pending_holds AS p
                        WHERE p.created_at <= $3 AND p.expires_at > $3 AND (p.released_at IS NULL OR p.released_at > $3)
                        GROUP BY p.account_id
                    ) AS h ON h.account_id = a.account_id
                    WHERE a.jurisdiction = $2 AND a.opened_at <= $3
                    ORDER BY a.account_id
                    OFFSET 0
                ) AS n
                OFFSET 0
            ) AS c
            OFFSET 0
        ) AS f
        $insert$, accounts.ensure_snapshot_partition(p_snapshot_date))
    USING p_snapshot_date, p_jurisdiction, cutoff_at;
    GET DIAGNOSTICS accounts = ROW_COUNT;
    -- The rows are too new for statistics. coalesce keeps the planner from expecting a dozen and sorting a million.
    SELECT coalesce(jsonb_object_agg(s.currency, jsonb_build_object('accounts', s.n, 'balance', s.balance::text, 'held', s.held::text)), '{}')
    INTO totals
    FROM (
        SELECT x.currency, count(*) AS n, sum(x.balance) AS balance, sum(x.held) AS held
        FROM accounts.daily_balance_snapshots AS x
        WHERE x.snapshot_date = p_snapshot_date AND coalesce(x.jurisdiction = p_jurisdiction, false)
        GROUP BY x.currency
    ) AS s;
    INSERT INTO core.eod_runs (jurisdiction, snapshot_date, cutoff_at, accounts, totals, taken_at, actor, trace_id)
    VALUES (p_jurisdiction, p_snapshot_date, take_snapshot.cutoff_at, take_snapshot.accounts, take_snapshot.totals,
        take_snapshot.taken_at, p_actor, p_trace_id);
END
$$;

REVOKE EXECUTE ON FUNCTION
    accounts.snapshot_cutoff(text, date),
    accounts.snapshots_due(timestamptz),
    accounts.ensure_snapshot_partition(date),
    core.ledger_settled(interval),
    accounts.take_snapshot(text, date, interval, text, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    accounts.snapshot_cutoff(text, date),
    accounts.snapshots_due(timestamptz)
TO bank_core_app_user, bank_core_readonly;
GRANT EXECUTE ON FUNCTION accounts.take_snapshot(text, date, interval, text, text) TO bank_core_app_user;

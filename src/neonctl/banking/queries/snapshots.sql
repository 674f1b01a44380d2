-- take --
SELECT t.jurisdiction, t.snapshot_date, t.cutoff_at, t.accounts, t.totals, t.taken_at, t.replayed
FROM accounts.take_snapshot(
    p_jurisdiction => %(jurisdiction)s::text, p_snapshot_date => %(snapshot_date)s::date, p_actor => %(actor)s::text,
    p_trace_id => %(trace_id)s::text
) AS t

-- due --
SELECT d.jurisdiction, d.snapshot_date, d.cutoff_at FROM accounts.snapshots_due() AS d

-- last_passed --
SELECT l.clock::date - CASE WHEN l.clock::time > l.eod_local THEN 0 ELSE 1 END AS snapshot_date
FROM (
    SELECT statement_timestamp() AT TIME ZONE j.time_zone AS clock, j.eod_local
    FROM core.jurisdictions AS j
    WHERE j.jurisdiction = %(jurisdiction)s
) AS l

-- run --
SELECT r.jurisdiction, r.snapshot_date, r.cutoff_at, r.accounts, r.totals, r.taken_at, r.actor, r.trace_id
FROM core.eod_runs AS r
WHERE r.jurisdiction = %(jurisdiction)s AND (%(snapshot_date)s::date IS NULL OR r.snapshot_date = %(snapshot_date)s::date)
ORDER BY r.snapshot_date DESC
LIMIT 1

-- account --
-- With what was booked on a hot account's shards, as its balance has it.
SELECT s.snapshot_date, s.account_id, s.jurisdiction, s.currency, s.balance + coalesce(h.balance, 0.00) AS balance,
    s.available_balance + coalesce(h.available_balance, 0.00) AS available_balance, s.held + coalesce(h.held, 0.00) AS held,
    s.log_seq, s.cutoff_at
FROM accounts.daily_balance_snapshots AS s
JOIN accounts.accounts AS a ON a.account_id = s.account_id
LEFT JOIN LATERAL (
    SELECT sum(x.balance) AS balance, sum(x.available_balance) AS available_balance, sum(x.held) AS held
    FROM accounts.daily_balance_snapshots AS x
    WHERE x.account_id = ANY(a.shards) AND x.snapshot_date = s.snapshot_date
) AS h ON true
WHERE s.account_id = %(account_id)s AND s.snapshot_date = %(snapshot_date)s

-- snapshot_runs --
SELECT r.jurisdiction, r.snapshot_date, r.cutoff_at, r.accounts
FROM core.eod_runs AS r
LEFT JOIN core.log_seals AS s ON s.seal_no = %(since)s
WHERE (r.taken_at > s.sealed_at OR s.sealed_at IS NULL) AND r.snapshot_date BETWEEN '2000-01-01' AND '9999-12-31'
    AND r.cutoff_at BETWEEN '1900-01-01' AND '9999-12-31'
ORDER BY r.snapshot_date, r.jurisdiction

-- snapshot_strays --
SELECT DISTINCT x.jurisdiction || ' ' || x.snapshot_date AS row, 'inserted' AS kind, 'snapshots without a run' AS message
FROM accounts.daily_balance_snapshots AS x
WHERE NOT EXISTS (
    SELECT FROM core.eod_runs AS r WHERE r.jurisdiction = x.jurisdiction AND r.snapshot_date = x.snapshot_date
)
LIMIT 20

-- run_strays --
-- A run is of its own day, give or take what time zones differ, and was taken after that day's end.
SELECT r.snapshot_date || '/' || r.jurisdiction AS row, 'altered' AS kind, 'the run''s times are not those of its day' AS message
FROM core.eod_runs AS r
WHERE (r.snapshot_date BETWEEN '2000-01-01' AND '9999-12-31' AND r.taken_at > r.cutoff_at
    AND r.cutoff_at > (r.snapshot_date - interval '1 day') AT TIME ZONE 'UTC'
    AND r.cutoff_at < (r.snapshot_date + interval '2 days') AT TIME ZONE 'UTC') IS NOT TRUE
ORDER BY 1
LIMIT 20

-- run_totals --
-- What a run says that its snapshots sum to.
SELECT r.snapshot_date || '/' || r.jurisdiction AS row, 'altered' AS kind, 'the snapshots do not sum to the run''s totals' AS message
FROM core.eod_runs AS r
WHERE r.jurisdiction = %(jurisdiction)s AND r.snapshot_date = %(snapshot_date)s AND r.totals IS DISTINCT FROM (
    SELECT coalesce(jsonb_object_agg(t.currency, jsonb_build_object('accounts', t.n, 'balance', t.balance::text, 'held', t.held::text)), '{}')
    FROM (
        SELECT s.currency, count(*) AS n, sum(s.balance) AS balance, sum(s.held) AS held
        FROM accounts.daily_balance_snapshots AS s
        WHERE s.snapshot_date = %(snapshot_date)s AND s.jurisdiction = %(jurisdiction)s
        GROUP BY s.currency
    ) AS t
)

-- snapshot --
-- One run's figures against the logs: the row that each names, nothing after it before the cutoff, the holds of then.
WITH held AS (
    SELECT h.account_id, sum(CASE h.event WHEN 'CREATED' THEN h.amount ELSE -h.amount END) AS amount
    FROM core.hold_log AS h
    WHERE h.recorded_at <= %(cutoff_at)s AND h.expires_at > %(cutoff_at)s
    GROUP BY h.account_id
), judged AS (
    SELECT coalesce(a.account_id, x.account_id) AS account_id,
        a.account_id IS NOT NULL AND x.currency = a.currency AND x.cutoff_at = %(cutoff_at)s
        AND x.balance = coalesce(l.balance_after, 0) AND (l.seq IS NOT NULL OR x.log_seq = 0)
        AND coalesce(l.posted_at <= %(cutoff_at)s, true) AND coalesce(n.posted_at > %(cutoff_at)s, true)
        AND x.held = coalesce(h.amount, 0) AND x.available_balance = x.balance - x.held AS fine
    FROM (
        SELECT s.*
        FROM accounts.daily_balance_snapshots AS s
        WHERE s.snapshot_date = %(snapshot_date)s AND s.jurisdiction = %(jurisdiction)s
    ) AS x
    FULL JOIN (
        SELECT y.* FROM accounts.accounts AS y WHERE y.jurisdiction = %(jurisdiction)s AND y.opened_at <= %(cutoff_at)s
    ) AS a ON a.account_id = x.account_id
    LEFT JOIN core.transaction_log AS l ON l.account_id = x.account_id AND l.seq = x.log_seq
    LEFT JOIN core.transaction_log AS n ON n.account_id = x.account_id AND n.seq = x.log_seq + 1
    LEFT JOIN held AS h ON h.account_id = x.account_id
)
SELECT count(*) AS items, count(*) AS rows, 0::numeric AS nzd, 0::numeric AS aud,
    coalesce((array_agg(j.account_id ORDER BY j.account_id) FILTER (WHERE j.fine IS NOT TRUE))[:20], '{}') AS faulty,
    count(*) FILTER (WHERE j.fine IS NOT TRUE) AS faults
FROM judged AS j

-- snapshot_runs --
SELECT r.jurisdiction, r.snapshot_date, r.cutoff_at, r.accounts
FROM core.eod_runs AS r
LEFT JOIN core.log_seals AS s ON s.seal_no = %(since)s
WHERE r.taken_at > s.sealed_at OR s.sealed_at IS NULL
ORDER BY r.snapshot_date, r.jurisdiction

-- snapshot_strays --
SELECT DISTINCT x.jurisdiction || ' ' || x.snapshot_date AS row, 'inserted' AS kind, 'snapshots without a run' AS message
FROM accounts.daily_balance_snapshots AS x
WHERE NOT EXISTS (
    SELECT FROM core.eod_runs AS r WHERE r.jurisdiction = x.jurisdiction AND r.snapshot_date = x.snapshot_date
)
LIMIT 20

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

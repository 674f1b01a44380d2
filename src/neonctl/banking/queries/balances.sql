-- get --
-- Holds are looked for only where the account's own figures say that there are some (available_balance = balance less
-- the holds that were not released): most accounts have none, and are one look into one index. Each figure stands here
-- once: what follows from the others is left to the caller. accounts.balance() has the same columns, which are not named
-- below: what may not be prepared is read anew by the server each time.
SELECT
    a.currency, a.balance, CASE
        WHEN a.available_balance = a.balance THEN 0.00
        ELSE accounts.held(a.account_id)
    END AS held, a.version, statement_timestamp() AS as_of, a.shards,
    CASE WHEN a.obr_partitioned THEN a.obr_available_amount::numeric END AS unfrozen
FROM accounts.accounts AS a
WHERE a.account_id = %s

-- get_planned --
SELECT * FROM accounts.balance(%s)

-- shards --
-- What is booked on the shards of a hot account.
SELECT coalesce(sum(s.balance), 0.00) AS balance
FROM accounts.accounts AS s
WHERE s.account_id = ANY(%(shards)s::uuid[]) AND s.shard_of = %(account_id)s

-- by_party --
SELECT p.account_id, p.account_number, p.role, p.balance_share_pct, p.status, p.currency, p.balance, p.held, p.version,
    CASE WHEN p.n = 1 THEN p.as_of END AS as_of, p.unfrozen
FROM accounts.party_balances(%s) WITH ORDINALITY
    AS p (account_id, account_number, role, balance_share_pct, status, currency, balance, held, version, as_of, unfrozen, n)

-- at --
-- The account's row, its log and the snapshots are seen at one instant, so what they say can be compared. Of a spread
-- account every shard counts. posted_at ascends with seq, so the last row by a moment is found by halving. From there the
-- log is replayed back to the last end-of-day snapshot before the moment, at most 1000 rows: verify replays all of it.
SELECT
    a.account_id, a.currency, coalesce(sum(l.replayed), 0.00) AS balance, coalesce(sum(h.held), 0.00) AS held,
    coalesce(sum(l.stated), 0.00) AS stated, coalesce(sum(l.seq), 0)::bigint AS log_seq,
    coalesce(sum(l.replayed_rows), 0)::bigint AS replayed_rows, coalesce(sum(l.missing), 0)::bigint AS missing,
    sum(m.balance) AS live_balance, max(greatest(l.version, h.version, s.version, 0)) FILTER (WHERE m.account_id = a.account_id) AS version,
    a.opened_at, clock.now, bool_and(m.log_seq = coalesce(l.seq, 0)) AS latest, max(o.frozen) AS frozen
FROM (
    -- Now is everything that this statement sees: an account can have moved since the statement arrived.
    SELECT statement_timestamp() AS now, coalesce(%(moment)s::timestamptz, statement_timestamp()) AS at,
        coalesce(%(moment)s::timestamptz, 'infinity') AS moment
) AS clock
JOIN accounts.accounts AS a ON a.account_id = %(account_id)s
JOIN accounts.accounts AS m ON m.account_id = a.account_id OR m.account_id = ANY(a.shards)
LEFT JOIN LATERAL (
    WITH RECURSIVE newest AS (
        SELECT t.seq, t.posted_at
        FROM core.transaction_log AS t
        WHERE t.account_id = m.account_id
        ORDER BY t.seq DESC
        LIMIT 1
    ), halves (low, high) AS (
        SELECT CASE WHEN n.posted_at <= clock.moment THEN n.seq ELSE 0 END, n.seq FROM newest AS n
        UNION ALL
        SELECT CASE WHEN t.posted_at <= clock.moment THEN x.middle ELSE x.low END,
            CASE WHEN t.posted_at <= clock.moment THEN x.high ELSE x.middle - 1 END
        FROM (SELECT v.low, v.high, (v.low + v.high + 1) / 2 AS middle FROM halves AS v WHERE v.low < v.high) AS x
        LEFT JOIN core.transaction_log AS t ON t.account_id = m.account_id AND t.seq = x.middle
    ), ending AS (
        SELECT t.seq, t.balance_after, t.account_version
        FROM halves AS v
        JOIN core.transaction_log AS t ON t.account_id = m.account_id AND t.seq = v.low
        WHERE v.low = v.high
    ), start (seq, balance) AS (
        SELECT u.seq, u.balance
        FROM (
            SELECT d.log_seq AS seq, d.balance
            FROM accounts.daily_balance_snapshots AS d
            WHERE d.account_id = m.account_id AND d.snapshot_date = (
                SELECT max(r.snapshot_date)
                FROM core.eod_runs AS r
                WHERE r.jurisdiction = m.jurisdiction AND r.cutoff_at <= clock.moment
            )
            UNION ALL
            SELECT t.seq, t.balance_after
            FROM ending AS e
            JOIN core.transaction_log AS t ON t.account_id = m.account_id AND t.seq = e.seq - 1000
            UNION ALL
            SELECT 0, 0.00
        ) AS u
        ORDER BY u.seq DESC
        LIMIT 1
    )
    SELECT s.balance + coalesce(r.moved, 0.00) AS replayed, e.balance_after AS stated, e.seq, e.account_version AS version,
        r.n AS replayed_rows, e.seq - s.seq - r.n AS missing
    FROM ending AS e
    CROSS JOIN start AS s
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, sum(CASE t.entry_type WHEN 'DEBIT' THEN -t.amount ELSE t.amount END) AS moved
        FROM core.transaction_log AS t
        WHERE t.account_id = m.account_id AND t.seq > s.seq AND t.seq <= e.seq
    ) AS r
) AS l ON true
CROSS JOIN LATERAL (
    SELECT
        sum(CASE t.event WHEN 'CREATED' THEN t.amount ELSE -t.amount END) FILTER (WHERE t.expires_at > clock.at) AS held,
        max(t.account_version) AS version
    FROM core.hold_log AS t
    WHERE t.account_id = m.account_id AND t.recorded_at <= clock.moment
) AS h
CROSS JOIN LATERAL (
    SELECT max(c.version) AS version
    FROM accounts.status_changes AS c
    WHERE c.account_id = m.account_id AND c.changed_at <= clock.moment
) AS s
LEFT JOIN LATERAL (
    -- What a resolution had frozen by then: the last activation or release says it of each account.
    SELECT e.event_type, coalesce(p.frozen_amount, 0.00) AS frozen
    FROM core.obr_partition_events AS e
    LEFT JOIN core.obr_account_partitions AS p ON p.event_id = e.event_id AND p.account_id = a.account_id
    WHERE NOT a.is_internal AND e.jurisdiction = a.jurisdiction AND e.occurred_at <= clock.moment
        AND e.event_type IN ('OBR_ACTIVATED', 'OBR_RELEASED', 'OBR_UNWOUND')
    ORDER BY e.event_no DESC
    LIMIT 1
) AS o ON o.event_type <> 'OBR_UNWOUND'
GROUP BY a.account_id, clock.now

-- get --
-- Holds are looked for only where the account's own figures say that there are some (available_balance = balance less
-- the holds that were not released): most accounts have none, and are one look into one index. Each figure stands here
-- once: what follows from the others is left to the caller.
SELECT
    a.account_id, a.currency, a.balance, CASE
        WHEN a.available_balance = a.balance THEN 0.00
        ELSE coalesce((
            SELECT sum(p.amount)
            FROM accounts.pending_holds AS p
            WHERE p.account_id = a.account_id AND p.released_at IS NULL AND p.expires_at > statement_timestamp()
        ), 0.00)
    END AS held, a.version, statement_timestamp() AS as_of, a.shards,
    CASE WHEN a.obr_partitioned THEN a.obr_available_amount::numeric END AS unfrozen
FROM accounts.accounts AS a
WHERE a.account_id = %s

-- shards --
-- What is booked on the shards of a hot account.
SELECT coalesce(sum(s.balance), 0.00) AS balance
FROM accounts.accounts AS s
WHERE s.account_id = ANY(%(shards)s::uuid[]) AND s.shard_of = %(account_id)s

-- by_party --
SELECT
    a.account_id, a.account_number, r.role, r.balance_share_pct, a.status, a.currency, a.balance, CASE
        WHEN a.available_balance = a.balance THEN 0.00
        ELSE coalesce((
            SELECT sum(p.amount)
            FROM accounts.pending_holds AS p
            WHERE p.account_id = a.account_id AND p.released_at IS NULL AND p.expires_at > statement_timestamp()
        ), 0.00)
    END AS held, a.version, statement_timestamp() AS as_of,
    CASE WHEN a.obr_partitioned THEN a.obr_available_amount::numeric END AS unfrozen
FROM accounts.account_party_relationships AS r
JOIN accounts.accounts AS a ON a.account_id = r.account_id
WHERE r.party_id = %(party_id)s AND r.valid_from <= statement_timestamp()
    AND (r.valid_to IS NULL OR r.valid_to > statement_timestamp())
ORDER BY a.opened_at, a.account_id, r.role

-- at --
-- The account's row and its log are one snapshot, so what they say can be compared. Of a spread account every shard
-- counts.
SELECT
    a.account_id, a.currency, coalesce(sum(l.replayed), 0.00) AS balance, coalesce(sum(h.held), 0.00) AS held,
    coalesce(sum(l.stated), 0.00) AS stated, coalesce(sum(l.seq), 0)::bigint AS log_seq, sum(m.balance) AS live_balance,
    sum(h.live_held) AS live_held,
    greatest(max(l.version), max(h.version), max(s.version), 0) AS version, a.opened_at,
    clock.now, bool_and(m.log_seq = coalesce(l.seq, 0)) AS latest
FROM (SELECT statement_timestamp() AS now, coalesce(%(moment)s::timestamptz, statement_timestamp()) AS moment) AS clock
JOIN accounts.accounts AS a ON a.account_id = %(account_id)s
JOIN accounts.accounts AS m ON m.account_id = a.account_id OR m.account_id = ANY(a.shards)
CROSS JOIN LATERAL (
    SELECT
        sum(CASE t.entry_type WHEN 'DEBIT' THEN -t.amount ELSE t.amount END) AS replayed,
        (array_agg(t.balance_after ORDER BY t.seq DESC))[1] AS stated,
        max(t.seq) AS seq,
        max(t.account_version) AS version
    FROM core.transaction_log AS t
    WHERE t.account_id = m.account_id AND t.posted_at <= clock.moment
) AS l
CROSS JOIN LATERAL (
    SELECT
        sum(CASE t.event WHEN 'CREATED' THEN t.amount ELSE -t.amount END) FILTER (WHERE t.expires_at > clock.moment) AS held,
        sum(CASE t.event WHEN 'CREATED' THEN t.amount ELSE -t.amount END) FILTER (WHERE t.expires_at > clock.now) AS live_held,
        max(t.account_version) AS version
    FROM core.hold_log AS t
    WHERE t.account_id = m.account_id AND t.recorded_at <= clock.moment
) AS h
CROSS JOIN LATERAL (
    SELECT max(c.version) AS version
    FROM accounts.status_changes AS c
    WHERE c.account_id = m.account_id AND c.changed_at <= clock.moment
) AS s
GROUP BY a.account_id, clock.now

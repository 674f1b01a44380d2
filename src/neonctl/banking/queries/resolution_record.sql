-- status --
SELECT s.jurisdiction, s.resolution_state, s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.rbnz_instruction_ref,
    s.quantified_at, s.released_pct, s.activated_at, s.activated_by, s.resolved_at, s.resolved_by,
    e.event_no AS last_event_no, e.event_id AS last_event_id, e.event_type AS last_event_type, e.occurred_at AS last_event_at,
    h.chain_no, h.chain_hash,
    l.seal_no, l.seal_hash, l.sealed_at,
    d.drill_id, d.outcome AS drill_outcome, d.ended_at AS drill_ended_at, d.report_sha256::bytea AS drill_report_sha256,
    (SELECT count(*) FROM core.obr_partition_events) AS events,
    k.officer_keys, k.regulator_keys, k.keys_until, k.first_keys,
    p.accounts_partitioned, p.frozen, p.available,
    statement_timestamp() AS as_of
FROM core.obr_resolution_state AS s
LEFT JOIN LATERAL (
    SELECT x.event_no, x.event_id, x.event_type, x.occurred_at
    FROM core.obr_partition_events AS x
    ORDER BY x.event_no DESC
    LIMIT 1
) AS e ON true
LEFT JOIN LATERAL (
    SELECT x.link_no AS chain_no, x.link_hash AS chain_hash FROM core.obr_chain AS x ORDER BY x.link_no DESC LIMIT 1
) AS h ON true
LEFT JOIN LATERAL (
    SELECT x.seal_no, x.seal_hash, x.sealed_at FROM core.log_seals AS x ORDER BY x.seal_no DESC LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT x.drill_id, x.outcome, x.ended_at, x.report_sha256 FROM core.obr_drills AS x ORDER BY x.recorded_at DESC LIMIT 1
) AS d ON true
CROSS JOIN LATERAL (
    SELECT count(DISTINCT x.name) FILTER (WHERE x.kind = 'officer' AND x.valid) AS officer_keys,
        count(*) FILTER (WHERE x.kind = 'regulator' AND x.valid) AS regulator_keys,
        min(x.valid_until) FILTER (WHERE x.valid) AS keys_until,
        count(*) FILTER (WHERE x.kind = 'officer') < 2 AS first_keys
    FROM (
        SELECT y.name, y.kind, y.valid_until,
            y.valid_from <= statement_timestamp() AND (y.valid_until IS NULL OR y.valid_until > statement_timestamp())
            AND NOT EXISTS (SELECT FROM core.obr_key_revocations AS r WHERE r.key_id = y.key_id) AS valid
        FROM core.obr_keys AS y
    ) AS x
) AS k
CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.accounts), 0)::bigint AS accounts_partitioned,
        coalesce(jsonb_object_agg(c.currency, c.frozen::text), '{}') AS frozen,
        coalesce(jsonb_object_agg(c.currency, c.available::text), '{}') AS available
    FROM (
        SELECT a.currency, count(*) AS accounts, sum(a.obr_frozen_amount) AS frozen, sum(a.obr_available_amount) AS available
        FROM accounts.accounts AS a
        WHERE a.obr_partitioned AND s.resolution_state = 'activated'
        GROUP BY a.currency
    ) AS c
) AS p
WHERE s.id = 'current'

-- reconciliation_due --
SELECT s.resolution_state <> 'normal' AND NOT EXISTS (
    SELECT FROM core.obr_partition_events AS e
    WHERE e.event_type = 'OBR_PARTITION_RECONCILED'
        AND e.occurred_at >= date_trunc('day', statement_timestamp() AT TIME ZONE j.time_zone) AT TIME ZONE j.time_zone
) AS due
FROM core.obr_resolution_state AS s
JOIN core.jurisdictions AS j ON j.jurisdiction = s.jurisdiction
WHERE s.id = 'current'

-- last_event_no --
SELECT s.last_event_no FROM core.obr_resolution_state AS s WHERE s.id = 'current'

-- evidence --
SELECT p.event_id, count(*) AS accounts, sum(p.frozen_amount) AS frozen, sum(p.available_amount) AS available
FROM core.obr_account_partitions AS p
GROUP BY p.event_id

-- standing --
SELECT s.jurisdiction, s.resolution_state, s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.rbnz_instruction_ref,
    s.activation_event_id, s.partition_event_id, s.quantified_at, s.released_pct, s.activated_at, s.activated_by, s.resolved_at,
    s.resolved_by
FROM core.obr_resolution_state AS s
WHERE s.id = 'current'

-- unlike_evidence --
-- Accounts whose evidence is not what log and arithmetic give: each holder's part of an activation worked out again, holders
-- against their account, a release against the activation before it, and the balance against the last row that the
-- ledger's log had of the account then; its chains `ledger verify` proves. Where products were not pre-positioned an account may
-- be frozen whole: which product it had then is not on record.
WITH holders AS (
    SELECT e.event_id, h.account_id, sum(h.balance_at) AS balance_at, sum(h.frozen_amount) AS frozen,
        sum(h.available_amount) AS available,
        bool_and(h.available_amount = greatest(h.balance_at, 0) - h.frozen_amount AND (
            h.frozen_amount = trunc(greatest(h.balance_at - e.de_minimis_amount, 0) * e.haircut_pct, 2)
            OR (e.metadata -> 'not_pre_positioned' <> '[]' AND h.frozen_amount = greatest(h.balance_at, 0))
        )) AS right_sums
    FROM core.obr_partition_events AS e
    JOIN core.obr_holder_partitions AS h ON h.event_id = e.event_id
    WHERE e.event_type = 'OBR_ACTIVATED'
    GROUP BY e.event_id, h.account_id
),
wrong AS (
    SELECT coalesce(a.event_id, h.event_id) AS event_id, coalesce(a.account_id, h.account_id) AS account_id
    FROM (
        SELECT p.*
        FROM core.obr_account_partitions AS p
        JOIN core.obr_partition_events AS e ON e.event_id = p.event_id AND e.event_type = 'OBR_ACTIVATED'
    ) AS a
    FULL JOIN holders AS h ON h.event_id = a.event_id AND h.account_id = a.account_id
    WHERE (h.right_sums AND (a.balance_at, a.frozen_amount, a.available_amount) = (h.balance_at, h.frozen, h.available)) IS NOT TRUE
    UNION ALL
    SELECT p.event_id, p.account_id
    FROM core.obr_partition_events AS e
    JOIN core.obr_account_partitions AS p ON p.event_id = e.event_id
    LEFT JOIN (
        SELECT r.event_id, h.account_id, sum(trunc(h.frozen_amount * (100 - r.released_pct) / 100, 2)) AS frozen
        FROM core.obr_partition_events AS r
        CROSS JOIN LATERAL (
            SELECT x.event_id
            FROM core.obr_partition_events AS x
            WHERE x.event_type = 'OBR_ACTIVATED' AND x.event_no < r.event_no
            ORDER BY x.event_no DESC
            LIMIT 1
        ) AS began
        JOIN core.obr_holder_partitions AS h ON h.event_id = began.event_id
        WHERE r.event_type = 'OBR_RELEASED'
        GROUP BY r.event_id, h.account_id
    ) AS due ON due.event_id = p.event_id AND due.account_id = p.account_id
    WHERE e.event_type = 'OBR_RELEASED' AND (p.frozen_amount, p.available_amount)
        IS DISTINCT FROM (coalesce(due.frozen, 0), greatest(p.balance_at - p.frozen_amount, 0))
    UNION
    -- The row that the evidence names says the balance, and was the account's last one: the ledger stood still then. What
    -- lies within five seconds of it is not judged by time: clocks are set back, and an account's time never runs backwards.
    SELECT p.event_id, p.account_id
    FROM core.obr_account_partitions AS p
    JOIN core.obr_partition_events AS e ON e.event_id = p.event_id
    LEFT JOIN core.transaction_log AS t ON t.account_id = p.account_id AND t.seq = p.log_seq
    LEFT JOIN core.transaction_log AS later ON later.account_id = p.account_id AND later.seq = p.log_seq + 1
    WHERE (p.balance_at = coalesce(t.balance_after, CASE p.log_seq WHEN 0 THEN 0 END)) IS NOT TRUE
        OR t.posted_at > e.occurred_at + interval '5 seconds'
        OR later.posted_at <= CASE e.event_type WHEN 'OBR_ACTIVATED' THEN e.quantified_at ELSE e.occurred_at END
            - interval '5 seconds'
)
SELECT w.event_id, count(*) AS accounts, (array_agg(w.account_id ORDER BY w.account_id))[1:3] AS some
FROM wrong AS w
GROUP BY w.event_id

-- status --
SELECT s.jurisdiction, s.resolution_state, s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.rbnz_instruction_ref,
    s.quantified_at, s.released_pct, s.activated_at, s.activated_by, s.resolved_at, s.resolved_by,
    e.event_no AS last_event_no, e.event_id AS last_event_id, e.event_type AS last_event_type, e.occurred_at AS last_event_at,
    l.seal_no, l.seal_hash, l.sealed_at,
    d.drill_id, d.outcome AS drill_outcome, d.ended_at AS drill_ended_at, d.report_sha256::bytea AS drill_report_sha256,
    (SELECT count(*) FROM core.obr_partition_events) AS events,
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
    SELECT x.seal_no, x.seal_hash, x.sealed_at FROM core.log_seals AS x ORDER BY x.seal_no DESC LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT x.drill_id, x.outcome, x.ended_at, x.report_sha256 FROM core.obr_drills AS x ORDER BY x.recorded_at DESC LIMIT 1
) AS d ON true
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

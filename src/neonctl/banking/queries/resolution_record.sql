-- status --
SELECT s.jurisdiction, s.resolution_state, s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.rbnz_instruction_ref,
    s.quantified_at, s.released_pct, s.activated_at, s.activated_by, s.resolved_at, s.resolved_by,
    e.event_no AS last_event_no, e.event_id AS last_event_id, e.event_type AS last_event_type, e.occurred_at AS last_event_at,
    l.seal_no, l.seal_hash, l.sealed_at,
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

-- events --
SELECT e.event_no, e.event_id, e.event_type, e.jurisdiction, e.status, e.haircut_pct, e.de_minimis_amount, e.equal_shares,
    e.released_pct, e.rbnz_instruction_ref, e.authority, e.quantified_at, e.accounts_partitioned, e.total_frozen_amount,
    e.total_available_amount, e.activated_by, e.db_user, e.idempotency_key, e.trace_id, e.correlation_id, e.occurred_at,
    e.metadata
FROM core.obr_partition_events AS e
ORDER BY e.event_no

-- documents --
SELECT i.event_id, i.registered_key_id, i.revoked_key_id, i.document_no, i.action, i.jti, i.key_id, i.document, i.recorded_at
FROM core.obr_instructions AS i
ORDER BY i.recorded_at, i.instruction_id, i.document_no

-- last_event_no --
SELECT s.last_event_no FROM core.obr_resolution_state AS s WHERE s.id = 'current'

-- evidence --
SELECT p.event_id, count(*) AS accounts, sum(p.frozen_amount) AS frozen, sum(p.available_amount) AS available
FROM core.obr_account_partitions AS p
GROUP BY p.event_id

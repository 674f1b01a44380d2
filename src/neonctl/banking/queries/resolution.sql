-- activate --
SELECT (r.event).*, r.replayed
FROM core.obr_activate(
    %(haircut)s, %(de_minimis)s, %(reference)s, %(idempotency_key)s, %(documents)s::text[], %(equal_shares)s, %(scope)s,
    %(actor)s, %(trace_id)s, %(correlation_id)s
) AS r

-- release --
SELECT (r.event).*, r.replayed
FROM core.obr_release(
    %(percent)s, %(reference)s, %(idempotency_key)s, %(documents)s::text[], %(scope)s, %(actor)s, %(trace_id)s,
    %(correlation_id)s
) AS r

-- unwind --
SELECT (r.event).*, r.replayed
FROM core.obr_unwind(
    %(reference)s, %(idempotency_key)s, %(documents)s::text[], %(permanent_haircut)s, %(scope)s, %(actor)s, %(trace_id)s,
    %(correlation_id)s
) AS r

-- rearm --
SELECT (r.event).*, r.replayed
FROM core.obr_rearm(
    %(reference)s, %(idempotency_key)s, %(documents)s::text[], %(scope)s, %(actor)s, %(trace_id)s, %(correlation_id)s
) AS r

-- reconcile --
SELECT (r.event).*, false AS replayed FROM core.obr_reconcile(%(actor)s, %(trace_id)s, %(correlation_id)s) AS r

-- state --
SELECT
    s.jurisdiction, s.resolution_state, s.haircut_pct, s.de_minimis_amount, s.equal_shares, s.rbnz_instruction_ref,
    s.activation_event_id, s.quantified_at, s.released_pct, s.activated_at, s.activated_by, s.resolved_at, s.resolved_by,
    s.last_event_no, s.last_trace_id, s.last_correlation_id, s.updated_at, statement_timestamp() AS as_of, (
        SELECT max(e.occurred_at) FROM core.obr_partition_events AS e WHERE e.event_type = 'OBR_PARTITION_RECONCILED'
    ) AS reconciled_at
FROM core.obr_resolution_state AS s
WHERE s.id = 'current'

-- events --
SELECT e.*, false AS replayed
FROM core.obr_partition_events AS e
WHERE e.event_no > %(after)s
ORDER BY e.event_no
LIMIT %(limit)s

-- split --
-- How an account stands in the partition, and how it was split at the activation at hand.
SELECT
    a.account_id, a.currency, a.balance, a.obr_partitioned AS partitioned, a.obr_frozen_amount::numeric AS frozen_amount,
    a.obr_available_amount::numeric AS available_amount, p.balance_at, p.frozen_amount AS frozen_at,
    p.available_amount AS available_at
FROM accounts.accounts AS a
CROSS JOIN core.obr_resolution_state AS s
LEFT JOIN core.obr_account_partitions AS p ON p.event_id = s.activation_event_id AND p.account_id = a.account_id
WHERE a.account_id = %(account_id)s

-- holders --
SELECT h.holder_no, h.party_id, h.share_pct, h.balance_at, h.frozen_amount, h.available_amount
FROM core.obr_holder_partitions AS h
WHERE h.event_id = %(event_id)s AND h.account_id = %(account_id)s
ORDER BY h.holder_no

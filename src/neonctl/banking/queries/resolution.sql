-- done --
SELECT (x.event).event_no, (x.event).event_id, (x.event).event_type, (x.event).jurisdiction, (x.event).status,
    (x.event).haircut_pct, (x.event).de_minimis_amount, (x.event).equal_shares, (x.event).released_pct,
    (x.event).rbnz_instruction_ref, (x.event).authority, (x.event).quantified_at, (x.event).accounts_partitioned,
    (x.event).total_frozen_amount, (x.event).total_available_amount, (x.event).activated_by, (x.event).db_user,
    (x.event).idempotency_key, (x.event).trace_id, (x.event).correlation_id, (x.event).occurred_at, (x.event).metadata,

-- activate --
    x.replayed
FROM core.obr_activate(
    p_haircut => %(haircut)s::numeric, p_de_minimis => %(de_minimis)s::numeric, p_reference => %(reference)s::text,
    p_idempotency_key => %(idempotency_key)s::text, p_documents => %(documents)s::text[],
    p_equal_shares => %(equal_shares)s::boolean, p_scope => %(scope)s::text, p_actor => %(actor)s::text,
    p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text
) AS x

-- release --
    x.replayed
FROM core.obr_release(
    p_percent => %(percent)s::numeric, p_reference => %(reference)s::text, p_idempotency_key => %(idempotency_key)s::text,
    p_documents => %(documents)s::text[], p_scope => %(scope)s::text, p_actor => %(actor)s::text,
    p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text
) AS x

-- unwind --
    x.replayed
FROM core.obr_unwind(
    p_reference => %(reference)s::text, p_idempotency_key => %(idempotency_key)s::text,
    p_documents => %(documents)s::text[], p_permanent_haircut => %(permanent_haircut)s::text, p_scope => %(scope)s::text,
    p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text
) AS x

-- rearm --
    x.replayed
FROM core.obr_rearm(
    p_reference => %(reference)s::text, p_idempotency_key => %(idempotency_key)s::text,
    p_documents => %(documents)s::text[], p_scope => %(scope)s::text, p_actor => %(actor)s::text,
    p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text
) AS x

-- reconcile --
    x.differences
FROM core.obr_reconcile(
    p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text
) AS x

-- reconcile_due --
SELECT s.resolution_state <> 'normal' AND NOT EXISTS (
    SELECT FROM core.obr_partition_events AS e
    WHERE e.event_type = 'OBR_PARTITION_RECONCILED'
        AND e.occurred_at >= date_trunc('day', statement_timestamp() AT TIME ZONE j.time_zone) AT TIME ZONE j.time_zone
) AS due
FROM core.obr_resolution_state AS s
JOIN core.jurisdictions AS j ON j.jurisdiction = s.jurisdiction
WHERE s.id = 'current'

CREATE OR REPLACE FUNCTION core.outbox_events(p_row core.outbox)
RETURNS TABLE (n integer, event_id text, event_type text, payload jsonb)
LANGUAGE sql STABLE AS $$
    SELECT 0, ((p_row).payload ->> 'account_id') || ':' || ((p_row).payload ->> 'version'), (p_row).event_type, (p_row).payload
    WHERE (p_row).payload IS NOT NULL
    UNION ALL
    (SELECT 0, (p_row).aggregate_id::text, (p_row).event_type, jsonb_build_object(
            'schema_version', '1', 'transaction_id', t.transaction_id, 'posted_at', core.rfc3339(min(l.posted_at)),
            'posting_date', t.posting_date, 'value_date', t.value_date, 'source_module', t.source_module,
            'reverses_transaction_id', t.reverses_transaction_id, 'trace_id', t.trace_id, 'correlation_id', t.correlation_id,
            'legs', jsonb_agg(jsonb_build_object('leg', l.leg, 'account_id', l.account_id, 'entry_type', l.entry_type,
                'amount', l.amount::text, 'currency', l.currency, 'balance_after', l.balance_after::text,
                'account_version', l.account_version) ORDER BY l.leg))
    FROM accounts.transactions AS t
    JOIN core.transaction_log AS l ON l.transaction_id = t.transaction_id
    WHERE t.transaction_id = (p_row).aggregate_id AND (p_row).payload IS NULL
    GROUP BY t.transaction_id)
    UNION ALL
    (SELECT (row_number() OVER (ORDER BY l.account_id))::integer, l.account_id || ':' || l.account_version,
        'bank.core.balance_updated', jsonb_build_object(
            'schema_version', '1', 'account_id', l.account_id, 'currency', l.currency, 'balance', l.balance_after::text,
            'available_balance', l.available_after::text, 'version', l.account_version, 'cause', 'POSTING',
            'transaction_id', l.transaction_id, 'hold_id', NULL, 'occurred_at', core.rfc3339(l.posted_at),
            'trace_id', (p_row).trace_id, 'correlation_id', (p_row).correlation_id)
    FROM (
        SELECT DISTINCT ON (x.account_id) x.*
        FROM core.transaction_log AS x
        WHERE x.transaction_id = (p_row).aggregate_id AND (p_row).payload IS NULL
        ORDER BY x.account_id, x.seq DESC
    ) AS l)
    ORDER BY 1
$$;
DROP TABLE core.obr_resolution_state;
DROP FUNCTION core.guard_obr_state();
DROP TABLE core.obr_partition_events;
DROP DOMAIN core.resolution_state;

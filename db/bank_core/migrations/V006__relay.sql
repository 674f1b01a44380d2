-- Reading and marking the outbox: at least once, in order per account, bounded retries.

CREATE FUNCTION core.rfc3339(p_moment timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT to_char(p_moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- The events of one outbox row, in the order in which to publish them. One that tells of no account is named by what it
-- tells of. A posting of many legs is told in parts: EventBridge takes 256 KiB, which is a thousand legs or so.
CREATE FUNCTION core.outbox_events(p_row core.outbox)
RETURNS TABLE (n integer, event_id text, event_type text, payload jsonb)
LANGUAGE sql STABLE AS $$
    SELECT 0, coalesce(((p_row).payload ->> 'account_id') || ':' || ((p_row).payload ->> 'version'), (p_row).aggregate_id::text),
        (p_row).event_type, (p_row).payload
    WHERE (p_row).payload IS NOT NULL
    UNION ALL
    SELECT 0, l.account_id || ':' || l.account_version, (p_row).event_type, jsonb_build_object(
        'schema_version', '1', 'account_id', l.account_id, 'currency', a.currency, 'balance', (p_row).balance::text,
        'available_balance', l.available_after::text, 'version', l.account_version, 'cause', 'HOLD_' || l.event,
        'transaction_id', NULL, 'hold_id', l.hold_id, 'occurred_at', core.rfc3339(l.recorded_at),
        'trace_id', (p_row).trace_id, 'correlation_id', (p_row).correlation_id)
    FROM core.hold_log AS l
    JOIN accounts.accounts AS a ON a.account_id = l.account_id
    WHERE l.account_id = (p_row).account_ids[1] AND l.seq = (p_row).hold_seq
    UNION ALL
    (SELECT l.part - l.parts, (p_row).aggregate_id || CASE WHEN l.part > 1 THEN ':' || l.part ELSE '' END,
        (p_row).event_type, jsonb_build_object(
            'schema_version', '1', 'transaction_id', t.transaction_id, 'posted_at', core.rfc3339(min(l.posted_at)),
            'posting_date', t.posting_date, 'value_date', t.value_date, 'source_module', t.source_module,
            'reverses_transaction_id', t.reverses_transaction_id, 'trace_id', t.trace_id, 'correlation_id', t.correlation_id,
            'legs', jsonb_agg(jsonb_build_object('leg', l.leg, 'account_id', l.account_id, 'entry_type', l.entry_type,
                'amount', l.amount::text, 'currency', l.currency, 'balance_after', l.balance_after::text,
                'account_version', l.account_version) ORDER BY l.leg))
            || CASE WHEN l.parts > 1 THEN jsonb_build_object('part', l.part, 'parts', l.parts) ELSE '{}' END
    FROM accounts.transactions AS t
    JOIN (
        SELECT x.*, (x.leg - 1) / 500 + 1 AS part, (max(x.leg) OVER () - 1) / 500 + 1 AS parts
        FROM core.transaction_log AS x
        WHERE x.transaction_id = (p_row).aggregate_id AND (p_row).payload IS NULL AND (p_row).hold_seq IS NULL
    ) AS l ON l.transaction_id = t.transaction_id
    GROUP BY t.transaction_id, l.part, l.parts)
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
        WHERE x.transaction_id = (p_row).aggregate_id AND (p_row).payload IS NULL AND (p_row).hold_seq IS NULL
        ORDER BY x.account_id, x.seq DESC
    ) AS l)
    ORDER BY 1
$$;

-- Held by the relay at work; as core.ledger_lock, a table that nobody else may lock.
CREATE TABLE core.relay_lock (nothing boolean CONSTRAINT relay_lock_pkey PRIMARY KEY CONSTRAINT chk_relay_lock_nothing CHECK (false));

COMMENT ON TABLE core.relay_lock IS 'Locked by the relay at work; has no rows.';

-- What to publish now. Call it in a transaction and mark before its end: it keeps other relays out until then.
-- A row that waits for its next attempt holds back every later row of the same accounts.
CREATE FUNCTION core.outbox_read(p_limit integer DEFAULT 100)
RETURNS TABLE (
    event_no bigint, n integer, event_id text, event_type text, payload jsonb, trace_id text, correlation_id text,
    created_at timestamptz, attempts integer
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    o core.outbox;
    waiting uuid[] := '{}';
    given integer := 0;
BEGIN
    BEGIN
        LOCK TABLE core.relay_lock IN EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'another relay is at work' USING ERRCODE = 'NB021', CONSTRAINT = 'OUTBOX_RELAY_BUSY';
    END;
    FOR o IN
        SELECT x.* FROM core.outbox AS x WHERE x.published_at IS NULL AND x.dead_at IS NULL ORDER BY x.event_no
    LOOP
        EXIT WHEN given >= p_limit;
        IF o.next_attempt_at > clock_timestamp() OR o.account_ids && waiting THEN
            waiting := waiting || o.account_ids;
            CONTINUE;
        END IF;
        RETURN QUERY
        SELECT o.event_no, e.n, e.event_id, e.event_type, e.payload, o.trace_id, o.correlation_id, o.created_at, o.attempts
        FROM core.outbox_events(o) AS e;
        IF FOUND THEN -- what has lost its row of the log must not take the place of what can be told
            given := given + 1;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION core.outbox_mark(p_event_nos bigint []) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    marked integer;
BEGIN
    UPDATE core.outbox AS o
    SET published_at = clock_timestamp(), attempts = o.attempts + 1, next_attempt_at = NULL
    WHERE o.event_no = ANY(p_event_nos) AND o.published_at IS NULL;
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END
$$;

CREATE FUNCTION core.outbox_fail(
    p_event_no bigint, p_error text, p_max_attempts integer DEFAULT 10, p_backoff interval DEFAULT '1 second',
    OUT attempts integer, OUT dead boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE core.outbox AS o
    SET attempts = o.attempts + 1, last_error = left(p_error, 1000),
        next_attempt_at = clock_timestamp() + least(p_backoff * power(2, least(o.attempts, 20)), interval '5 minutes'),
        dead_at = CASE WHEN o.attempts + 1 >= p_max_attempts THEN clock_timestamp() END
    WHERE o.event_no = p_event_no AND o.published_at IS NULL AND o.dead_at IS NULL
    RETURNING o.attempts, o.dead_at IS NOT NULL INTO outbox_fail.attempts, outbox_fail.dead;
END
$$;

CREATE FUNCTION core.outbox_revive(p_event_nos bigint []) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    revived integer;
BEGIN
    UPDATE core.outbox AS o
    SET dead_at = NULL, next_attempt_at = NULL, attempts = 0
    WHERE o.event_no = ANY(p_event_nos) AND o.dead_at IS NOT NULL;
    GET DIAGNOSTICS revived = ROW_COUNT;
    RETURN revived;
END
$$;

CREATE FUNCTION core.outbox_prune(p_before timestamptz, p_limit integer DEFAULT 10000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned integer;
BEGIN
    DELETE FROM core.outbox AS o
    WHERE o.event_no IN (
        SELECT x.event_no FROM core.outbox AS x WHERE x.published_at < p_before ORDER BY x.event_no LIMIT p_limit
    );
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

REVOKE EXECUTE ON FUNCTION
    core.rfc3339(timestamptz),
    core.outbox_events(core.outbox),
    core.outbox_read(integer),
    core.outbox_mark(bigint []),
    core.outbox_fail(bigint, text, integer, interval),
    core.outbox_revive(bigint []),
    core.outbox_prune(timestamptz, integer)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    core.outbox_read(integer),
    core.outbox_mark(bigint []),
    core.outbox_fail(bigint, text, integer, interval),
    core.outbox_revive(bigint []),
    core.outbox_prune(timestamptz, integer)
TO bank_core_app_user;

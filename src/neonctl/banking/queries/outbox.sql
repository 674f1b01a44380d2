-- read --
SELECT o.event_no, o.n, o.event_id, o.event_type, o.payload, o.trace_id, o.correlation_id, o.created_at, o.attempts
FROM core.outbox_read(p_limit => %(limit)s::integer) AS o

-- mark --
SELECT core.outbox_mark(p_event_nos => %(event_nos)s::bigint[]) AS n

-- fail --
SELECT f.dead
FROM core.outbox_fail(
    p_event_no => %(event_no)s::bigint, p_error => %(error)s::text, p_max_attempts => %(max_attempts)s::integer,
    p_backoff => %(backoff)s::interval
) AS f

-- revive --
SELECT core.outbox_revive(p_event_nos => %(event_nos)s::bigint[]) AS n

-- prune --
SELECT core.outbox_prune(p_before => clock_timestamp() - %(keep)s::interval, p_limit => %(limit)s::integer) AS n

-- list --
SELECT
    x.event_no, x.event_type, x.aggregate_id, x.state, x.attempts, x.last_error, x.trace_id, x.correlation_id, x.created_at,
    x.next_attempt_at, x.published_at, x.dead_at
FROM (
    SELECT o.*, CASE
        WHEN o.published_at IS NOT NULL THEN 'published' WHEN o.dead_at IS NOT NULL THEN 'dead' ELSE 'pending'
    END AS state
    FROM core.outbox AS o
) AS x
WHERE %(state)s::text IN (x.state, 'all')
ORDER BY CASE WHEN %(newest)s::boolean THEN -x.event_no ELSE x.event_no END
LIMIT %(limit)s::bigint

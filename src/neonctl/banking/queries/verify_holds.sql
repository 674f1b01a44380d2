-- holds_whole --
WITH base (account_id, hold_seq, hold_head) AS (
    SELECT NULL::uuid, 0::bigint, NULL::bytea WHERE false AND %(since)s::bigint > 0
), rows AS (
    SELECT l.*, 0::bigint AS base_seq, %(zero)s::bytea AS base_head
    FROM core.hold_log AS l
    WHERE l.account_id BETWEEN %(first)s AND %(last)s
),

-- holds_since --
WITH base AS (
    SELECT DISTINCT ON (e.account_id) e.account_id, e.hold_seq, e.hold_head
    FROM core.log_seal_entries AS e
    WHERE e.account_id BETWEEN %(first)s AND %(last)s AND e.seal_no <= %(since)s
    ORDER BY e.account_id, e.seal_no DESC
), rows AS (
    SELECT l.*, coalesce(b.hold_seq, 0) AS base_seq, coalesce(b.hold_head, %(zero)s::bytea) AS base_head
    FROM accounts.accounts AS a
    LEFT JOIN base AS b ON b.account_id = a.account_id
    CROSS JOIN LATERAL (
        SELECT t.* FROM core.hold_log AS t WHERE t.account_id = a.account_id AND t.seq > coalesce(b.hold_seq, 0)
    ) AS l
    WHERE a.account_id BETWEEN %(first)s AND %(last)s
),

-- holds_checks --
checked AS (
    SELECT r.account_id, r.seq, r.row_hash,
        r.row_hash = sha256((r.prev_hash || uuid_send(r.account_id)) || (int8send(r.seq) || uuid_send(r.hold_id))
            || (int8send(r.account_version * 2::bigint + CASE r.event WHEN 'CREATED' THEN 0 WHEN 'RELEASED' THEN 1 END)
                || numeric_send(r.amount))
            || (numeric_send(r.available_after) || timestamptz_send(r.expires_at)) || (timestamptz_send(r.recorded_at)
            || convert_to(concat_ws(':', octet_length(r.idempotency_key), r.idempotency_key, 'r' || octet_length(r.reason),
                r.reason, 'p' || octet_length(r.payment_id), r.payment_id), 'UTF8')))
        AND r.prev_hash = lag(r.row_hash, 1, r.base_head) OVER w
        AND r.seq = r.base_seq + row_number() OVER w AS fine
    FROM rows AS r
    WINDOW w AS (PARTITION BY r.account_id ORDER BY r.seq)
), chains AS (
    SELECT c.account_id, count(*) AS n, bool_and(c.fine IS TRUE) AS fine, max(c.seq) AS seq,
        substr(max(int8send(c.seq) || c.row_hash), 9) AS head
    FROM checked AS c
    GROUP BY c.account_id
), judged AS (
    SELECT coalesce(a.account_id, c.account_id) AS account_id, coalesce(c.n, 0) AS n,
        coalesce(c.fine, true) AND a.hold_seq = coalesce(c.seq, b.hold_seq, 0)
        AND a.hold_head = coalesce(c.head, b.hold_head, %(zero)s::bytea) AS fine
    FROM (SELECT x.* FROM accounts.accounts AS x WHERE x.account_id BETWEEN %(first)s AND %(last)s) AS a
    FULL JOIN chains AS c ON c.account_id = a.account_id
    LEFT JOIN base AS b ON b.account_id = a.account_id
)
SELECT count(*) AS items, coalesce(sum(j.n), 0)::bigint AS rows, 0::numeric AS nzd, 0::numeric AS aud,
    coalesce((array_agg(j.account_id ORDER BY j.account_id) FILTER (WHERE j.fine IS NOT TRUE))[:20], '{}') AS faulty,
    count(*) FILTER (WHERE j.fine IS NOT TRUE) AS faults
FROM judged AS j

-- hold_states --
-- Holds as they stand against their log, and what they set aside against the accounts' figures.
SELECT coalesce(p.hold_id, c.hold_id, r.hold_id)::text AS row, CASE
    WHEN p.hold_id IS NULL THEN 'removed' WHEN c.hold_id IS NULL THEN 'inserted' ELSE 'altered'
END AS kind, CASE
    WHEN p.hold_id IS NULL THEN 'the hold is gone, its log is not'
    WHEN c.hold_id IS NULL THEN 'the hold is not in the log'
    ELSE 'the hold is not what its log says'
END AS message
FROM accounts.pending_holds AS p
FULL JOIN (SELECT x.* FROM core.hold_log AS x WHERE x.event = 'CREATED') AS c ON c.hold_id = p.hold_id
FULL JOIN (SELECT x.* FROM core.hold_log AS x WHERE x.event = 'RELEASED') AS r ON r.hold_id = coalesce(p.hold_id, c.hold_id)
WHERE (p.account_id = c.account_id AND p.amount = c.amount AND p.expires_at = c.expires_at AND p.created_at = c.recorded_at
        AND p.idempotency_key = c.idempotency_key AND p.account_version = c.account_version - 1) IS NOT TRUE
    OR p.payment_id IS DISTINCT FROM c.payment_id
    OR (p.released_at, p.release_reason) IS DISTINCT FROM (r.recorded_at, r.reason)
    OR (r.hold_id IS NOT NULL AND (r.account_id, r.amount, r.expires_at, r.idempotency_key, r.payment_id)
        IS DISTINCT FROM (p.account_id, p.amount, p.expires_at, p.idempotency_key, p.payment_id))
UNION ALL
-- No index keeps a step from being in the log twice: where all agrees, there are as many rows as steps.
SELECT x.hold_id::text, 'inserted', 'a step of the hold is in the log ' || count(*) || ' times'
FROM core.hold_log AS x
WHERE (SELECT count(*) FROM core.hold_log) <> (SELECT count(*) + count(h.released_at) FROM accounts.pending_holds AS h)
GROUP BY x.hold_id, x.event
HAVING count(*) > 1
ORDER BY 1
LIMIT 20

-- held_sums --
SELECT coalesce(a.account_id, h.account_id)::text AS row, 'balance' AS kind, CASE
    WHEN a.account_id IS NULL THEN 'there are holds on an account that is not there'
    ELSE 'available_balance says ' || a.available_balance || ', balance less unreleased holds is ' || a.balance - coalesce(h.held, 0)
END AS message
FROM (SELECT x.* FROM accounts.accounts AS x WHERE x.account_id BETWEEN %(first)s AND %(last)s) AS a
FULL JOIN (
    SELECT p.account_id, sum(p.amount) AS held
    FROM accounts.pending_holds AS p
    WHERE p.account_id BETWEEN %(first)s AND %(last)s AND p.released_at IS NULL
    GROUP BY 1
) AS h ON h.account_id = a.account_id
WHERE (a.available_balance = a.balance - coalesce(h.held, 0)) IS NOT TRUE
ORDER BY 1
LIMIT 20

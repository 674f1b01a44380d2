-- journal --
-- Every transaction of a range: its header has the hash that its rows in the log name, each posting is the log's row,
-- legs are numbered 1..n, debits equal credits in each currency, and what it reverses is on record.
WITH headers AS (
    SELECT t.transaction_id, t.posting_date, t.value_date, t.reverses_transaction_id, sha256((uuid_send(t.transaction_id) || timestamptz_send(t.created_at))
        || (date_send(t.posting_date) || date_send(t.value_date))
        || convert_to(concat_ws(':', octet_length(t.idempotency_key), t.idempotency_key, octet_length(t.source_module),
            t.source_module, octet_length(t.created_by), t.created_by, 'd' || octet_length(t.description), t.description,
            't' || octet_length(t.trace_id), t.trace_id, 'c' || octet_length(t.correlation_id), t.correlation_id,
            'r' || t.reverses_transaction_id), 'UTF8')) AS hash
    FROM accounts.transactions AS t
    WHERE t.transaction_id BETWEEN %(first)s AND %(last)s
), legs AS (
    SELECT coalesce(p.transaction_id, l.transaction_id) AS transaction_id, count(*) AS n, min(p.leg) AS first_leg, max(p.leg) AS last_leg,
        bool_and((p.account_id = l.account_id AND p.entry_type = l.entry_type AND p.amount = l.amount AND p.currency = l.currency)
            IS TRUE) AS same,
        min(l.transaction_hash) AS low, max(l.transaction_hash) AS high,
        min(l.posting_date) AS posted_low, max(l.posting_date) AS posted_high, min(l.value_date) AS valued_low,
        max(l.value_date) AS valued_high,
        coalesce(sum(CASE p.entry_type WHEN 'DEBIT' THEN -p.amount ELSE p.amount END) FILTER (WHERE p.currency = 'NZD'), 0) = 0
            AND coalesce(sum(CASE p.entry_type WHEN 'DEBIT' THEN -p.amount ELSE p.amount END) FILTER (WHERE p.currency <> 'NZD'), 0) = 0
            AS balanced
    FROM (SELECT x.* FROM accounts.postings AS x WHERE x.transaction_id BETWEEN %(first)s AND %(last)s) AS p
    FULL JOIN (SELECT x.* FROM core.transaction_log AS x WHERE x.transaction_id BETWEEN %(first)s AND %(last)s) AS l
        ON l.transaction_id = p.transaction_id AND l.leg = p.leg
    GROUP BY 1
), judged AS (
    SELECT coalesce(h.transaction_id, g.transaction_id) AS transaction_id, coalesce(g.n, 0) AS n,
        g.same AND g.n >= 2 AND g.first_leg = 1 AND g.last_leg = g.n AND g.balanced AND g.low = h.hash AND g.high = h.hash
        AND g.posted_low = h.posting_date AND g.posted_high = h.posting_date AND g.valued_low = h.value_date
        AND g.valued_high = h.value_date AND r.reversed_transaction_id IS NOT DISTINCT FROM h.reverses_transaction_id AS fine
    FROM headers AS h
    FULL JOIN legs AS g ON g.transaction_id = h.transaction_id
    LEFT JOIN accounts.reversals AS r ON r.transaction_id = coalesce(h.transaction_id, g.transaction_id)
)
SELECT count(*) AS items, coalesce(sum(j.n), 0)::bigint AS rows, 0::numeric AS nzd, 0::numeric AS aud,
    coalesce((array_agg(j.transaction_id ORDER BY j.transaction_id) FILTER (WHERE j.fine IS NOT TRUE))[:20], '{}') AS faulty,
    count(*) FILTER (WHERE j.fine IS NOT TRUE) AS faults
FROM judged AS j

-- transaction_faults --
-- What exactly is wrong with one transaction.
SELECT
    (SELECT count(*) FROM accounts.transactions AS t WHERE t.transaction_id = %(transaction_id)s) AS headers,
    coalesce((
        SELECT array_agg(coalesce(p.leg, l.leg)::integer ORDER BY coalesce(p.leg, l.leg))
        FROM (SELECT x.* FROM accounts.postings AS x WHERE x.transaction_id = %(transaction_id)s) AS p
        FULL JOIN (SELECT x.* FROM core.transaction_log AS x WHERE x.transaction_id = %(transaction_id)s) AS l ON l.leg = p.leg
        WHERE l.leg IS NULL
    ), '{}') AS only_posted,
    coalesce((
        SELECT array_agg(coalesce(p.leg, l.leg)::integer ORDER BY coalesce(p.leg, l.leg))
        FROM (SELECT x.* FROM accounts.postings AS x WHERE x.transaction_id = %(transaction_id)s) AS p
        FULL JOIN (SELECT x.* FROM core.transaction_log AS x WHERE x.transaction_id = %(transaction_id)s) AS l ON l.leg = p.leg
        WHERE p.leg IS NULL
    ), '{}') AS only_logged,
    coalesce((
        SELECT array_agg(p.leg::integer ORDER BY p.leg)
        FROM accounts.postings AS p
        JOIN core.transaction_log AS l ON l.transaction_id = p.transaction_id AND l.leg = p.leg
        WHERE p.transaction_id = %(transaction_id)s
            AND (p.account_id, p.entry_type::text, p.amount::numeric, p.currency)
            IS DISTINCT FROM (l.account_id, l.entry_type, l.amount, l.currency)
    ), '{}') AS different

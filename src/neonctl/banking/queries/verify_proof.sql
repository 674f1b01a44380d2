-- accounts --
-- Whether all is well with a range of accounts, at the least that can be asked: no group, no look at the row before.
-- Every row of a log is expected once: by the row after it, which names its hash, or by its account, whose chain ends there.
-- Where each expectation meets one row, each row is expected, and there are as many rows as the accounts say, the chains are
-- what was written. Which account is at fault the queries of verify_log and verify_holds say. NULL anywhere is a fault.
WITH heads AS MATERIALIZED (
    SELECT a.account_id, a.currency, a.balance, a.available_balance, a.log_seq, a.log_head, a.last_posted_at, a.hold_seq, a.hold_head
    FROM accounts.accounts AS a
    WHERE a.account_id BETWEEN %(first)s AND %(last)s AND (a.log_seq = 0 AND a.hold_seq = 0 AND a.balance = 0
        AND a.available_balance = 0 AND a.last_posted_at IS NULL AND a.log_head = %(zero)s::bytea AND a.hold_head = %(zero)s::bytea) IS NOT TRUE
), told AS (
    SELECT count(*) AS moved, coalesce(sum(h.log_seq), 0) AS log_rows, coalesce(sum(h.hold_seq), 0) AS hold_rows,
        coalesce(sum(h.balance) FILTER (WHERE h.currency = 'NZD'), 0) AS nzd,
        coalesce(sum(h.balance) FILTER (WHERE h.currency = 'AUD'), 0) AS aud
    FROM heads AS h
), log AS (
    SELECT count(*) FILTER (WHERE e.of_account) AS moved, count(*) FILTER (WHERE (CASE e.seq
        WHEN 0 THEN r.seq IS NULL AND e.head = %(zero)s::bytea AND e.balance = 0 AND e.until IS NULL
        ELSE r.fine AND r.row_hash = e.head AND r.balance_after = e.balance AND r.posted_at <= e.until
            AND (r.posted_at = e.until OR NOT e.of_account)
    END) IS NOT TRUE) AS unfit
    FROM (
        SELECT l.account_id, l.seq, l.row_hash, l.balance_after, l.posted_at,
            l.row_hash = sha256(l.prev_hash || uuid_send(l.account_id) || int8send(l.seq) || uuid_send(l.transaction_id)
                || int2send(l.leg) || convert_to(l.currency, 'UTF8') || int8send((s.signed * 100)::bigint)
                || int8send((l.balance_after * 100)::bigint) || int8send((l.available_after * 100)::bigint)
                || int4send(l.account_version) || timestamptz_send(l.posted_at) || l.transaction_hash)
            AND (l.seq > 1 OR l.seq = 1 AND l.prev_hash = %(zero)s::bytea AND l.balance_after = s.signed) AS fine
        FROM core.transaction_log AS l
        CROSS JOIN LATERAL (SELECT CASE l.entry_type WHEN 'DEBIT' THEN -l.amount WHEN 'CREDIT' THEN l.amount END AS signed) AS s
        WHERE l.account_id BETWEEN %(first)s AND %(last)s
    ) AS r
    FULL JOIN (
        SELECT l.account_id, l.seq - 1 AS seq, l.prev_hash AS head, l.balance_after
            - CASE l.entry_type WHEN 'DEBIT' THEN -l.amount WHEN 'CREDIT' THEN l.amount END AS balance,
            l.posted_at AS until, false AS of_account
        FROM core.transaction_log AS l
        WHERE l.account_id BETWEEN %(first)s AND %(last)s AND l.seq > 1
        UNION ALL
        SELECT h.account_id, h.log_seq, h.log_head, h.balance, h.last_posted_at, true
        FROM heads AS h
    ) AS e ON e.account_id = r.account_id AND e.seq = r.seq
), holds AS (
    SELECT count(*) FILTER (WHERE (e.fine AND CASE e.seq
        WHEN 0 THEN r.seq IS NULL AND e.head = %(zero)s::bytea
        ELSE r.fine AND r.row_hash = e.head
    END) IS NOT TRUE) AS unfit
    FROM (
        SELECT l.account_id, l.seq, l.row_hash,
            l.row_hash = sha256(l.prev_hash || uuid_send(l.account_id) || int8send(l.seq) || uuid_send(l.hold_id)
                || convert_to(left(l.event, 1), 'UTF8') || int8send((l.amount * 100)::bigint)
                || int8send((l.available_after * 100)::bigint) || int4send(l.account_version) || timestamptz_send(l.expires_at)
                || timestamptz_send(l.recorded_at) || convert_to(concat(octet_length(l.reason), ':', l.reason,
                    octet_length(l.idempotency_key), ':', l.idempotency_key, octet_length(l.payment_id), ':', l.payment_id), 'UTF8'))
            AND (l.seq > 1 OR l.seq = 1 AND l.prev_hash = %(zero)s::bytea) AS fine
        FROM core.hold_log AS l
        WHERE l.account_id BETWEEN %(first)s AND %(last)s
    ) AS r
    FULL JOIN (
        SELECT l.account_id, l.seq - 1 AS seq, l.prev_hash AS head, true AS fine
        FROM core.hold_log AS l
        WHERE l.account_id BETWEEN %(first)s AND %(last)s AND l.seq > 1
        UNION ALL
        -- What unreleased holds set aside is what the account says; holds of no account have nobody to expect their log.
        SELECT h.account_id, h.hold_seq, h.hold_head, h.available_balance = h.balance - coalesce(p.held, 0)
        FROM (
            SELECT x.account_id, x.hold_seq, x.hold_head, x.balance, x.available_balance
            FROM heads AS x
            WHERE (x.hold_seq = 0 AND x.hold_head = %(zero)s::bytea AND x.available_balance = x.balance) IS NOT TRUE
        ) AS h
        FULL JOIN (
            SELECT x.account_id, sum(x.amount) AS held
            FROM accounts.pending_holds AS x
            WHERE x.account_id BETWEEN %(first)s AND %(last)s AND x.released_at IS NULL
            GROUP BY x.account_id
            HAVING sum(x.amount) <> 0
        ) AS p ON p.account_id = h.account_id
    ) AS e ON e.account_id = r.account_id AND e.seq = r.seq
), counted AS MATERIALIZED (
    SELECT
        (SELECT count(*) FROM accounts.accounts AS a WHERE a.account_id BETWEEN %(first)s AND %(last)s) AS accounts,
        (SELECT count(*) FROM core.transaction_log AS l WHERE l.account_id BETWEEN %(first)s AND %(last)s) AS log_rows,
        (SELECT count(*) FROM core.hold_log AS l WHERE l.account_id BETWEEN %(first)s AND %(last)s) AS hold_rows
)
SELECT c.accounts, c.log_rows, c.hold_rows, t.nzd, t.aud,
    l.unfit = 0 AND l.moved = t.moved AND t.log_rows = c.log_rows AS log_fine,
    h.unfit = 0 AND t.hold_rows = c.hold_rows AS holds_fine
FROM log AS l
CROSS JOIN holds AS h
CROSS JOIN told AS t
CROSS JOIN counted AS c

-- journal --
-- Whether all is well with a range of transactions: as verify_journal has it, from the postings only. That no row of the
-- log and no header is left over is told by how many there are. Headers are sorted so that each is hashed once.
SELECT g.transactions, g.legs, g.unfit = 0 AND g.legs = c.posted AND g.legs = c.logged AND g.transactions = c.headers AS fine
FROM (
    SELECT count(*) AS transactions, coalesce(sum(x.n), 0)::bigint AS legs,
        count(*) FILTER (WHERE (x.same AND x.n >= 2 AND x.last_leg = x.n AND x.nzd = 0 AND x.other = 0) IS NOT TRUE) AS unfit
    FROM (
        SELECT count(*) AS n, max(p.leg) AS last_leg, bool_and((p.leg >= 1 AND p.account_id = l.account_id AND p.entry_type = l.entry_type
                AND p.amount = l.amount AND p.currency = l.currency AND l.transaction_hash = h.hash
                AND l.posting_date = h.posting_date AND l.value_date = h.value_date AND h.fine) IS TRUE) AS same,
            coalesce(sum(CASE p.entry_type WHEN 'DEBIT' THEN -p.amount ELSE p.amount END) FILTER (WHERE p.currency = 'NZD'), 0) AS nzd,
            coalesce(sum(CASE p.entry_type WHEN 'DEBIT' THEN -p.amount ELSE p.amount END) FILTER (WHERE p.currency <> 'NZD'), 0) AS other
        FROM accounts.postings AS p
        LEFT JOIN (SELECT x.* FROM core.transaction_log AS x WHERE x.transaction_id BETWEEN %(first)s AND %(last)s) AS l
            ON l.transaction_id = p.transaction_id AND l.leg = p.leg
        LEFT JOIN (
            SELECT t.transaction_id, t.posting_date, t.value_date, r.reversed_transaction_id IS NOT DISTINCT FROM t.reverses_transaction_id AS fine,
                sha256(uuid_send(t.transaction_id)
                    || coalesce(uuid_send(t.reverses_transaction_id), '\x00000000000000000000000000000000'::bytea)
                    || date_send(t.posting_date) || date_send(t.value_date) || timestamptz_send(t.created_at)
                    || convert_to(concat(octet_length(t.idempotency_key), ':', t.idempotency_key, octet_length(t.source_module), ':',
                        t.source_module, octet_length(t.description), ':', t.description, octet_length(t.trace_id), ':', t.trace_id,
                        octet_length(t.correlation_id), ':', t.correlation_id, octet_length(t.created_by), ':', t.created_by), 'UTF8')) AS hash
            FROM accounts.transactions AS t
            LEFT JOIN accounts.reversals AS r ON r.transaction_id = t.transaction_id
            WHERE t.transaction_id BETWEEN %(first)s AND %(last)s
            ORDER BY t.transaction_id
            OFFSET 0
        ) AS h ON h.transaction_id = p.transaction_id
        WHERE p.transaction_id BETWEEN %(first)s AND %(last)s
        GROUP BY p.transaction_id
    ) AS x
) AS g
CROSS JOIN (
    SELECT
        (SELECT count(*) FROM accounts.postings AS p WHERE p.transaction_id BETWEEN %(first)s AND %(last)s) AS posted,
        (SELECT count(*) FROM core.transaction_log AS l WHERE l.transaction_id BETWEEN %(first)s AND %(last)s) AS logged,
        (SELECT count(*) FROM accounts.transactions AS t WHERE t.transaction_id BETWEEN %(first)s AND %(last)s) AS headers
) AS c

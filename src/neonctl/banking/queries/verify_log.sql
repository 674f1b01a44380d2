-- log_whole --
-- All rows of a range of accounts, those of accounts that do not exist included.
WITH base (account_id, seq, head, hold_seq, hold_head, balance) AS (
    SELECT NULL::uuid, 0::bigint, NULL::bytea, 0::bigint, NULL::bytea, 0::numeric WHERE false AND %(since)s::bigint > 0
), rows AS (
    SELECT l.*, 0::bigint AS base_seq, %(zero)s::bytea AS base_head, 0.00 AS base_balance
    FROM core.transaction_log AS l
    WHERE l.account_id BETWEEN %(first)s AND %(last)s
),

-- log_since --
-- Rows of a range of accounts that came after a seal: the seal says where each account's chain stood.
WITH base AS (
    SELECT DISTINCT ON (e.account_id) e.account_id, e.seq, e.head, e.hold_seq, e.hold_head, l.balance_after AS balance
    FROM core.log_seal_entries AS e
    LEFT JOIN core.transaction_log AS l ON l.account_id = e.account_id AND l.seq = e.seq
    WHERE e.account_id BETWEEN %(first)s AND %(last)s AND e.seal_no <= %(since)s
    ORDER BY e.account_id, e.seal_no DESC
), rows AS (
    SELECT l.*, coalesce(b.seq, 0) AS base_seq, coalesce(b.head, %(zero)s::bytea) AS base_head, coalesce(b.balance, 0.00) AS base_balance
    FROM accounts.accounts AS a
    LEFT JOIN base AS b ON b.account_id = a.account_id
    CROSS JOIN LATERAL (
        SELECT t.* FROM core.transaction_log AS t WHERE t.account_id = a.account_id AND t.seq > coalesce(b.seq, 0)
    ) AS l
    WHERE a.account_id BETWEEN %(first)s AND %(last)s
),

-- log_checks --
-- Each row: its own hash, the row before it, the arithmetic, time and version that only go forward. Each account: that its
-- chain ends where the account says. NULL anywhere is a fault as well.
checked AS (
    SELECT r.account_id, r.seq, r.currency, r.row_hash, r.posted_at, s.signed, r.base_balance,
        r.row_hash = sha256((r.prev_hash || r.transaction_hash) || ((uuid_send(r.account_id) || uuid_send(r.transaction_id))
            || ((int8send(r.seq) || int8send(r.account_version * 4294967296
                + (r.leg + CASE r.currency WHEN 'NZD' THEN 65536 WHEN 'AUD' THEN 131072 ELSE 0 END)))
            || ((numeric_send(s.signed) || numeric_send(r.balance_after))
            || (numeric_send(r.available_after) || timestamptz_send(r.posted_at))))))
        AND r.prev_hash = lag(r.row_hash, 1, r.base_head) OVER w
        AND r.seq = r.base_seq + row_number() OVER w
        AND r.balance_after = lag(r.balance_after, 1, r.base_balance) OVER w + s.signed
        AND r.posted_at >= lag(r.posted_at, 1, r.posted_at) OVER w AS fine
    FROM rows AS r
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.amount > 0 THEN CASE r.entry_type WHEN 'DEBIT' THEN -r.amount WHEN 'CREDIT' THEN r.amount END END AS signed
    ) AS s
    WINDOW w AS (PARTITION BY r.account_id ORDER BY r.seq)
), chains AS (
    -- The last row's hash without looking ahead for each row: numbers of eight bytes sort as bytes.
    SELECT c.account_id, count(*) AS n, bool_and(c.fine IS TRUE) AS fine, max(c.seq) AS seq,
        min(c.currency) AS low, max(c.currency) AS high,
        substr(max(int8send(c.seq) || c.row_hash), 9) AS head, max(c.base_balance) + sum(c.signed) AS balance,
        max(c.posted_at) AS posted_at
    FROM checked AS c
    GROUP BY c.account_id
), judged AS (
    SELECT coalesce(a.account_id, c.account_id) AS account_id, coalesce(c.n, 0) AS n, a.currency, a.balance,
        coalesce(c.fine, true) AND a.log_seq = coalesce(c.seq, b.seq, 0) AND a.log_head = coalesce(c.head, b.head, %(zero)s::bytea)
        AND a.balance = coalesce(c.balance, b.balance, 0) AND coalesce(c.low = a.currency AND c.high = a.currency, c.n IS NULL)
        AND (a.last_posted_at = c.posted_at OR (c.posted_at IS NULL AND (a.last_posted_at IS NULL) = (a.log_seq = 0))) AS fine
    FROM (SELECT x.* FROM accounts.accounts AS x WHERE x.account_id BETWEEN %(first)s AND %(last)s) AS a
    FULL JOIN chains AS c ON c.account_id = a.account_id
    LEFT JOIN base AS b ON b.account_id = a.account_id
)
SELECT count(*) AS items, coalesce(sum(j.n), 0)::bigint AS rows,
    coalesce(sum(j.balance) FILTER (WHERE j.currency = 'NZD'), 0) AS nzd, coalesce(sum(j.balance) FILTER (WHERE j.currency = 'AUD'), 0) AS aud,
    coalesce((array_agg(j.account_id ORDER BY j.account_id) FILTER (WHERE j.fine IS NOT TRUE))[:20], '{}') AS faulty,
    count(*) FILTER (WHERE j.fine IS NOT TRUE) AS faults
FROM judged AS j

-- Every row of the log, of the holds' log and every account proven; no function of the database is called, only Postgres' own.
-- One row per thing that is wrong: what, where, why.
WITH headers AS (
    SELECT t.transaction_id, sha256((uuid_send(t.transaction_id) || timestamptz_send(t.created_at))
        || (date_send(t.posting_date) || date_send(t.value_date))
        || convert_to(concat_ws(':', octet_length(t.idempotency_key), t.idempotency_key, octet_length(t.source_module),
            t.source_module, octet_length(t.created_by), t.created_by, 'd' || octet_length(t.description), t.description,
            't' || octet_length(t.trace_id), t.trace_id, 'c' || octet_length(t.correlation_id), t.correlation_id,
            'r' || t.reverses_transaction_id), 'UTF8')) AS hash,
        t.posting_date, t.value_date
    FROM accounts.transactions AS t
), rows AS (
    SELECT l.*,
        lag(l.seq, 1, 0::bigint) OVER chain AS before_seq,
        lag(l.row_hash, 1, '\x0000000000000000000000000000000000000000000000000000000000000000'::bytea) OVER chain AS before_hash,
        lag(l.balance_after, 1, 0::numeric) OVER chain AS before_balance,
        lag(l.posted_at) OVER chain AS before_at,
        CASE l.entry_type WHEN 'DEBIT' THEN -l.amount ELSE l.amount END AS signed
    FROM core.transaction_log AS l
    WINDOW chain AS (PARTITION BY l.account_id ORDER BY l.seq)
), judged AS (
    SELECT r.account_id, r.seq, CASE
        WHEN r.seq <> r.before_seq + 1 THEN 'rows before it are missing'
        WHEN r.prev_hash <> r.before_hash THEN 'does not follow the row before'
        WHEN r.row_hash <> sha256((r.prev_hash || r.transaction_hash) || ((uuid_send(r.account_id) || uuid_send(r.transaction_id))
            || ((int8send(r.seq) || int8send(r.account_version * 4294967296
                + (r.leg + CASE r.currency WHEN 'NZD' THEN 65536 WHEN 'AUD' THEN 131072 ELSE 0 END)))
            || ((numeric_send(r.signed) || numeric_send(r.balance_after))
            || (numeric_send(r.available_after) || timestamptz_send(r.posted_at)))))) THEN 'was altered'
        WHEN r.balance_after <> r.before_balance + r.signed THEN 'does not add up'
        WHEN r.posted_at < r.before_at THEN 'goes back in time'
        WHEN h.hash IS NULL THEN 'has no transaction'
        WHEN (h.hash, h.posting_date, h.value_date) IS DISTINCT FROM (r.transaction_hash, r.posting_date, r.value_date)
            THEN 'its transaction was altered'
        WHEN (p.account_id, p.entry_type, p.amount, p.currency)
            IS DISTINCT FROM (r.account_id, r.entry_type, r.amount, r.currency) THEN 'its posting was altered'
        END AS problem
    FROM rows AS r
    LEFT JOIN headers AS h ON h.transaction_id = r.transaction_id
    LEFT JOIN accounts.postings AS p ON p.transaction_id = r.transaction_id AND p.leg = r.leg
), hold_rows AS (
    SELECT l.*,
        lag(l.seq, 1, 0::bigint) OVER chain AS before_seq,
        lag(l.row_hash, 1, '\x0000000000000000000000000000000000000000000000000000000000000000'::bytea) OVER chain AS before_hash
    FROM core.hold_log AS l
    WINDOW chain AS (PARTITION BY l.account_id ORDER BY l.seq)
), ends AS (
    SELECT DISTINCT ON (l.account_id) l.account_id, l.seq, l.row_hash, l.balance_after, l.currency
    FROM core.transaction_log AS l
    ORDER BY l.account_id, l.seq DESC
), hold_ends AS (
    SELECT DISTINCT ON (l.account_id) l.account_id, l.seq, l.row_hash
    FROM core.hold_log AS l
    ORDER BY l.account_id, l.seq DESC
), held AS (
    SELECT h.account_id, sum(h.amount) AS amount FROM accounts.pending_holds AS h WHERE h.released_at IS NULL GROUP BY h.account_id
), held_by_log AS (
    SELECT l.account_id, sum(CASE l.event WHEN 'CREATED' THEN l.amount ELSE -l.amount END) AS amount
    FROM core.hold_log AS l
    GROUP BY l.account_id
)
SELECT 'log' AS what, j.account_id::text AS place, j.seq AS number, j.problem FROM judged AS j WHERE j.problem IS NOT NULL
UNION ALL
SELECT 'posting', p.transaction_id::text, p.leg, 'is not in the log'
FROM accounts.postings AS p
LEFT JOIN core.transaction_log AS l ON l.transaction_id = p.transaction_id AND l.leg = p.leg
WHERE l.transaction_id IS NULL
UNION ALL
SELECT 'transaction', l.transaction_id::text, NULL, 'debits and credits differ'
FROM core.transaction_log AS l
GROUP BY l.transaction_id, l.currency
HAVING sum(CASE l.entry_type WHEN 'DEBIT' THEN -l.amount ELSE l.amount END) <> 0
UNION ALL
SELECT 'hold log', r.account_id::text, r.seq, CASE
    WHEN r.seq <> r.before_seq + 1 THEN 'rows before it are missing'
    WHEN r.prev_hash <> r.before_hash THEN 'does not follow the row before'
    ELSE 'was altered'
    END
FROM hold_rows AS r
WHERE r.seq <> r.before_seq + 1 OR r.prev_hash <> r.before_hash
    OR r.row_hash <> sha256((r.prev_hash || uuid_send(r.account_id)) || (int8send(r.seq) || uuid_send(r.hold_id))
            || (int8send(r.account_version * 2::bigint + CASE r.event WHEN 'CREATED' THEN 0 WHEN 'RELEASED' THEN 1 END)
                || numeric_send(r.amount))
            || (numeric_send(r.available_after) || timestamptz_send(r.expires_at)) || (timestamptz_send(r.recorded_at)
            || convert_to(concat_ws(':', octet_length(r.idempotency_key), r.idempotency_key, 'r' || octet_length(r.reason),
                r.reason, 'p' || octet_length(r.payment_id), r.payment_id), 'UTF8')))
UNION ALL
SELECT 'account', a.account_id::text, NULL, CASE
    WHEN (a.log_seq, a.log_head) IS DISTINCT FROM
        (coalesce(e.seq, 0), coalesce(e.row_hash, '\x0000000000000000000000000000000000000000000000000000000000000000'))
        THEN 'its log does not end at its head'
    WHEN (a.hold_seq, a.hold_head) IS DISTINCT FROM
        (coalesce(x.seq, 0), coalesce(x.row_hash, '\x0000000000000000000000000000000000000000000000000000000000000000'))
        THEN 'its hold log does not end at its head'
    WHEN a.currency <> e.currency THEN 'its log is in another currency'
    WHEN a.balance <> coalesce(e.balance_after, 0) THEN 'balance differs from the log'
    WHEN coalesce(h.amount, 0) <> coalesce(b.amount, 0) THEN 'holds differ from their log'
    ELSE 'available balance is not balance less holds'
    END
FROM accounts.accounts AS a
LEFT JOIN ends AS e ON e.account_id = a.account_id
LEFT JOIN hold_ends AS x ON x.account_id = a.account_id
LEFT JOIN held AS h ON h.account_id = a.account_id
LEFT JOIN held_by_log AS b ON b.account_id = a.account_id
WHERE (a.log_seq, a.log_head) IS DISTINCT FROM
    (coalesce(e.seq, 0), coalesce(e.row_hash, '\x0000000000000000000000000000000000000000000000000000000000000000'))
    OR (a.hold_seq, a.hold_head) IS DISTINCT FROM
    (coalesce(x.seq, 0), coalesce(x.row_hash, '\x0000000000000000000000000000000000000000000000000000000000000000'))
    OR a.currency <> e.currency
    OR a.balance <> coalesce(e.balance_after, 0)
    OR coalesce(h.amount, 0) <> coalesce(b.amount, 0)
    OR a.available_balance <> a.balance - coalesce(h.amount, 0)
ORDER BY 1, 2, 3

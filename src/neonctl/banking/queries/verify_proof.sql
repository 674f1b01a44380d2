-- accounts --
-- Whether all is well with a range of accounts, at the least that can be asked: each row is read and hashed once, in the order
-- of its key, and only rows that follow others are read again. A row of a log is where its account says that the log ends, or
-- another follows it and names its hash; each row but the first follows one. So a log has all its rows from 1 to the end, and
-- by their number no more. That no row is there twice is taken from the keys: with one missing, ``keyed`` is false and nothing is proven. Which account is at fault
-- the queries of verify_log and verify_holds say. NULL anywhere is a fault. ``others``: accounts that are not simply in use, or
-- were once something else; verify_accounts looks at those. Accounts that never moved are left out as they are read.
SELECT (SELECT count(*) FROM accounts.accounts AS t WHERE t.account_id BETWEEN %(first)s AND %(last)s) AS accounts,
    count(x.seq) AS log_rows, count(x.hold_row) AS hold_rows,
    coalesce(sum(x.balance) FILTER (WHERE x.currency = 'NZD'), 0) AS nzd, coalesce(sum(x.balance) FILTER (WHERE x.currency = 'AUD'), 0) AS aud,
    count(*) FILTER (WHERE x.fine IS NOT TRUE) = 0 AND count(x.seq) = coalesce(sum(x.log_seq), 0)
        AND count(x.hold_row) = coalesce(sum(x.hold_seq), 0) AS fine, (
            SELECT count(*)
            FROM pg_index AS i
            JOIN pg_class AS k ON k.oid = i.indrelid
            JOIN pg_namespace AS n ON n.oid = k.relnamespace
            WHERE i.indisprimary AND i.indisunique AND i.indisvalid AND i.indisready AND (n.nspname, k.relname, (
                SELECT string_agg(b.attname, ' ' ORDER BY b.attname) FROM pg_attribute AS b WHERE b.attrelid = k.oid AND b.attnum = ANY(i.indkey)
            )) IN (('accounts', 'accounts', 'account_id'), ('core', 'transaction_log', 'account_id seq'), ('core', 'hold_log', 'account_id seq'))
        ) = 3 AS keyed,
    coalesce(array_agg(x.ends) FILTER (WHERE x.other), '{}') AS others
FROM (
    SELECT c.ends, c.seq, h.seq AS hold_row, c.balance, c.currency, c.log_seq, c.hold_seq,
        c.ends IS NOT NULL AND c.plain IS NOT TRUE AS other, (c.there IS NULL OR c.fine) AND CASE
            WHEN c.ends IS NULL THEN h.there IS NULL OR h.fine AND NOT h.is_last
            WHEN h.there IS NULL THEN c.hold_seq = 0 AND c.hold_head = %(zero)s::bytea AND c.available_balance = c.balance
            ELSE h.fine AND h.is_last AND h.row_hash = c.hold_head AND c.available_balance = c.balance - h.held
        END AS fine
    FROM (
        -- An account's own figures stand in the row where its log ends, so that sums have them once.
        SELECT true AS there, c.account_id, c.ends, c.seq, c.currency, c.hold_head, c.available_balance, c.plain,
            CASE WHEN c.ends IS NOT NULL THEN c.balance END AS balance, CASE WHEN c.ends IS NOT NULL THEN c.log_seq END AS log_seq,
            CASE WHEN c.ends IS NOT NULL THEN c.hold_seq END AS hold_seq, CASE
                WHEN c.row_account IS NULL THEN s.account_id IS NULL AND (c.ends IS NULL OR c.log_seq = 0 AND c.balance = 0
                    AND c.log_head = %(zero)s::bytea AND c.last_posted_at IS NULL)
                WHEN c.ends IS NULL THEN c.fine AND c.row_hash = s.head AND c.balance_after = s.balance AND c.posted_at <= s.until
                ELSE c.fine AND s.account_id IS NULL AND c.row_hash = c.log_head AND c.balance_after = c.balance
                    AND c.posted_at = c.last_posted_at
            END AS fine
        FROM (
            SELECT a.*, r.account_id AS row_account, r.seq, r.row_hash, r.balance_after, r.posted_at, r.fine AND r.currency = a.currency AS fine,
                CASE WHEN r.seq IS NULL OR r.seq = a.log_seq THEN a.account_id END AS ends
            FROM (
                SELECT t.account_id, t.currency, t.balance, t.available_balance, t.log_seq, t.log_head, t.last_posted_at, t.hold_seq,
                    t.hold_head, u.plain
                FROM accounts.accounts AS t
                CROSS JOIN LATERAL (
                    SELECT t.log_seq BETWEEN 0 AND t.version AND t.version - t.log_seq = t.hold_seq AND t.allows_debit AND t.allows_credit AND t.status = 'ACTIVE'
                        AND t.restriction_reason IS NULL AND t.shards IS NULL AND t.shard_of IS NULL
                        AND (t.balance >= 0 OR t.is_internal OR t.balance + t.overdraft_limit >= 0) AND (
                            SELECT y.allows_debit AND y.allows_credit FROM accounts.status_rules AS y
                            WHERE y.status = 'ACTIVE' AND y.restriction_reason = ''
                        ) AS plain
                ) AS u
                WHERE t.account_id BETWEEN %(first)s AND %(last)s AND (t.log_seq = 0 AND t.hold_seq = 0 AND t.balance = 0
                    AND t.available_balance = 0 AND t.last_posted_at IS NULL AND t.log_head = %(zero)s::bytea
                    AND t.hold_head = %(zero)s::bytea AND u.plain) IS NOT TRUE
            ) AS a
            FULL JOIN (
                SELECT l.account_id, l.seq, l.currency, l.row_hash, l.balance_after, l.posted_at,
                    l.row_hash = sha256((l.prev_hash || l.transaction_hash) || ((uuid_send(l.account_id) || uuid_send(l.transaction_id))
                        || ((int8send(l.seq) || int8send(l.account_version * 4294967296
                            + (l.leg + CASE l.currency WHEN 'NZD' THEN 65536 WHEN 'AUD' THEN 131072 ELSE 0 END)))
                        || ((numeric_send(m.signed) || numeric_send(l.balance_after))
                        || (numeric_send(l.available_after) || timestamptz_send(l.posted_at))))))
                    AND (l.seq > 1 OR l.seq = 1 AND l.prev_hash = %(zero)s::bytea AND l.balance_after = m.signed) AS fine
                FROM core.transaction_log AS l
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN l.amount > 0 THEN CASE l.entry_type WHEN 'DEBIT' THEN -l.amount WHEN 'CREDIT' THEN l.amount END END AS signed
                ) AS m
                WHERE l.account_id BETWEEN %(first)s AND %(last)s
            ) AS r ON r.account_id = a.account_id
        ) AS c
        FULL JOIN (
            SELECT l.account_id, l.seq - 1 AS seq, l.prev_hash AS head, l.balance_after
                - CASE l.entry_type WHEN 'DEBIT' THEN -l.amount WHEN 'CREDIT' THEN l.amount END AS balance, l.posted_at AS until
            FROM core.transaction_log AS l
            WHERE l.account_id BETWEEN %(first)s AND %(last)s AND l.seq > 1
        ) AS s ON s.account_id = c.row_account AND s.seq = c.seq
    ) AS c
    FULL JOIN (
        SELECT true AS there, r.account_id, r.seq, r.row_hash, n.account_id IS NULL AS is_last, coalesce(p.held, 0) AS held,
            r.fine AND (n.account_id IS NULL OR r.row_hash = n.head) AS fine
        FROM (
            SELECT l.account_id, l.seq, l.row_hash, l.row_hash = sha256((l.prev_hash || uuid_send(l.account_id))
                    || (int8send(l.seq) || uuid_send(l.hold_id)) || (int8send(l.account_version * 2::bigint
                        + CASE l.event WHEN 'CREATED' THEN 0 WHEN 'RELEASED' THEN 1 END) || numeric_send(l.amount))
                    || (numeric_send(l.available_after) || timestamptz_send(l.expires_at)) || (timestamptz_send(l.recorded_at)
                    || convert_to(concat_ws(':', octet_length(l.idempotency_key), l.idempotency_key, 'r' || octet_length(l.reason),
                        l.reason, 'p' || octet_length(l.payment_id), l.payment_id), 'UTF8')))
                AND (l.seq > 1 OR l.seq = 1 AND l.prev_hash = %(zero)s::bytea) AS fine
            FROM core.hold_log AS l
            WHERE l.account_id BETWEEN %(first)s AND %(last)s
        ) AS r
        FULL JOIN (
            SELECT l.account_id, l.seq - 1 AS seq, l.prev_hash AS head
            FROM core.hold_log AS l
            WHERE l.account_id BETWEEN %(first)s AND %(last)s AND l.seq > 1
        ) AS n ON n.account_id = r.account_id AND n.seq = r.seq
        FULL JOIN (
            -- What unreleased holds set aside is what the account says; those of no account stand in no log.
            SELECT q.account_id, sum(q.amount) AS held
            FROM accounts.pending_holds AS q
            WHERE q.account_id BETWEEN %(first)s AND %(last)s AND q.released_at IS NULL
            GROUP BY q.account_id
        ) AS p ON p.account_id = r.account_id AND n.account_id IS NULL
    ) AS h ON h.account_id = c.account_id AND h.seq = c.hold_seq
) AS x

-- journal --
-- Whether all is well with a range of transactions: as verify_journal has it, from the postings only. That no row of the
-- log and no header is left over is told by how many there are. What is grouped is made as narrow as it can be before.
SELECT g.transactions, g.legs, g.unfit = 0 AND g.legs = c.posted AND g.legs = c.logged AND g.transactions = c.headers AS fine
FROM (
    SELECT count(*) AS transactions, coalesce(sum(x.n), 0)::bigint AS legs,
        count(*) FILTER (WHERE (x.same AND x.n >= 2 AND x.last_leg = x.n AND x.nzd = 0 AND x.other = 0) IS NOT TRUE) AS unfit
    FROM (
        SELECT count(*) AS n, max(y.leg) AS last_leg, bool_and(y.same) AS same,
            coalesce(sum(y.signed) FILTER (WHERE y.nzd), 0) AS nzd, coalesce(sum(y.signed) FILTER (WHERE NOT y.nzd), 0) AS other
        FROM (
            SELECT p.transaction_id, p.leg, (p.leg >= 1 AND p.account_id = l.account_id AND p.entry_type = l.entry_type
                    AND p.amount = l.amount AND p.currency = l.currency AND l.transaction_hash = h.hash
                    AND l.posting_date = h.posting_date AND l.value_date = h.value_date
                    AND r.reversed_transaction_id IS NOT DISTINCT FROM h.reverses_transaction_id) IS TRUE AS same,
                CASE p.entry_type WHEN 'DEBIT' THEN -p.amount ELSE p.amount END AS signed, p.currency = 'NZD' AS nzd
            FROM accounts.postings AS p
            LEFT JOIN (SELECT t.* FROM core.transaction_log AS t WHERE t.transaction_id BETWEEN %(first)s AND %(last)s) AS l
                ON l.transaction_id = p.transaction_id AND l.leg = p.leg
            LEFT JOIN (
                SELECT t.transaction_id, t.posting_date, t.value_date, t.reverses_transaction_id,
                    sha256((uuid_send(t.transaction_id) || timestamptz_send(t.created_at))
                        || (date_send(t.posting_date) || date_send(t.value_date))
                        || convert_to(concat_ws(':', octet_length(t.idempotency_key), t.idempotency_key, octet_length(t.source_module),
                            t.source_module, octet_length(t.created_by), t.created_by, 'd' || octet_length(t.description),
                            t.description, 't' || octet_length(t.trace_id), t.trace_id, 'c' || octet_length(t.correlation_id),
                            t.correlation_id, 'r' || t.reverses_transaction_id), 'UTF8')) AS hash
                FROM accounts.transactions AS t
                WHERE t.transaction_id BETWEEN %(first)s AND %(last)s
            ) AS h ON h.transaction_id = p.transaction_id
            LEFT JOIN (SELECT t.* FROM accounts.reversals AS t WHERE t.transaction_id BETWEEN %(first)s AND %(last)s) AS r
                ON r.transaction_id = p.transaction_id
            WHERE p.transaction_id BETWEEN %(first)s AND %(last)s
            ORDER BY p.transaction_id
            OFFSET 0
        ) AS y
        GROUP BY y.transaction_id
    ) AS x
) AS g
CROSS JOIN (
    SELECT
        (SELECT count(*) FROM accounts.postings AS p WHERE p.transaction_id BETWEEN %(first)s AND %(last)s) AS posted,
        (SELECT count(*) FROM core.transaction_log AS l WHERE l.transaction_id BETWEEN %(first)s AND %(last)s) AS logged,
        (SELECT count(*) FROM accounts.transactions AS t WHERE t.transaction_id BETWEEN %(first)s AND %(last)s) AS headers
) AS c

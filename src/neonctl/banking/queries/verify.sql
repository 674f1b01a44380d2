-- settings --
-- Nothing but pg_catalog is called, and nothing else is found by its bare name: an owner can put a function of his own
-- in every other schema.
SELECT
    pg_catalog.set_config('search_path', 'pg_catalog', true),
    pg_catalog.set_config('jit', 'off', true),
    pg_catalog.set_config('work_mem', '64MB', true),
    pg_catalog.set_config('max_parallel_workers_per_gather', '0', true)

-- objects --
-- The guards of what is append-only, and that tables are tables. What is missing or switched off.
SELECT g.relation AS row, 'removed' AS kind, CASE
    WHEN c.oid IS NULL THEN g.relation || ' is not there'
    WHEN c.relkind NOT IN ('r', 'p') THEN g.relation || ' is no table'
    WHEN c.relhasrules THEN g.relation || ' has rules that change what is written or read'
    WHEN t.oid IS NULL THEN g.relation || ' has lost its guard ' || g.guard
    ELSE g.relation || ': the guard ' || g.guard || ' is switched off, or not ALWAYS on'
END AS message
FROM (VALUES
    ('accounts.accounts', 'trg_accounts_kept'), ('accounts.accounts', 'trg_accounts_money'),
    ('accounts.accounts', 'trg_accounts_birth'), ('accounts.accounts', 'trg_accounts_standing'),
    ('accounts.status_changes', 'trg_status_changes_append_only'),
    ('accounts.transactions', 'trg_transactions_append_only'),
    ('accounts.postings', 'trg_postings_append_only'), ('accounts.postings', 'trg_postings_applied'),
    ('accounts.reversals', 'trg_reversals_append_only'),
    ('core.transaction_log', 'trg_transaction_log_append_only'),
    ('core.transaction_log', 'trg_transaction_log_written_by_trigger'),
    ('accounts.pending_holds', 'trg_pending_holds_kept'), ('accounts.pending_holds', 'trg_pending_holds_before'),
    ('accounts.pending_holds', 'trg_pending_holds_after'),
    ('core.hold_log', 'trg_hold_log_append_only'), ('core.hold_log', 'trg_hold_log_written_by_trigger'),
    ('core.log_seals', 'trg_log_seals_append_only'), ('core.log_seal_entries', 'trg_log_seal_entries_append_only'),
    ('accounts.daily_balance_snapshots', 'trg_daily_balance_snapshots_append_only'),
    ('core.eod_runs', 'trg_eod_runs_append_only')
) AS g (relation, guard)
LEFT JOIN pg_namespace AS n ON n.nspname = split_part(g.relation, '.', 1)
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(g.relation, '.', 2)
LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = g.guard
WHERE c.oid IS NULL OR c.relkind NOT IN ('r', 'p') OR c.relhasrules OR t.oid IS NULL OR t.tgenabled <> 'A'
ORDER BY 1, 3

-- account_bounds --
-- First accounts of parts with about so many rows each.
SELECT x.account_id AS bound
FROM (
    SELECT a.account_id, 1 + a.log_seq + a.hold_seq AS weight, sum(1 + a.log_seq + a.hold_seq) OVER (ORDER BY a.account_id) AS upto
    FROM accounts.accounts AS a
) AS x
WHERE div(x.upto, %(size)s) > div(x.upto - x.weight, %(size)s) AND x.upto > x.weight
ORDER BY 1

-- transaction_bounds --
SELECT x.transaction_id AS bound
FROM (SELECT t.transaction_id, row_number() OVER (ORDER BY t.transaction_id) AS n FROM accounts.transactions AS t) AS x
WHERE x.n %% %(size)s = 0
ORDER BY 1

-- first_new_transaction --
-- The lowest id among the transactions with a row that no seal up to this one is over: ids ascend in time.
SELECT l.transaction_id AS bound
FROM accounts.accounts AS a
LEFT JOIN LATERAL (
    SELECT e.seq
    FROM core.log_seal_entries AS e
    WHERE e.account_id = a.account_id AND e.seal_no <= %(since)s
    ORDER BY e.seal_no DESC
    LIMIT 1
) AS b ON true
CROSS JOIN LATERAL (
    SELECT t.transaction_id FROM core.transaction_log AS t WHERE t.account_id = a.account_id AND t.seq > coalesce(b.seq, 0)
) AS l
ORDER BY 1
LIMIT 1

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
    SELECT r.account_id, r.seq, r.row_hash, r.balance_after, lead(r.seq) OVER w IS NULL AS is_last,
        r.row_hash = sha256(r.prev_hash || uuid_send(r.account_id) || int8send(r.seq) || uuid_send(r.transaction_id)
            || int2send(r.leg) || convert_to(r.currency, 'UTF8') || int8send((s.signed * 100)::bigint) || int8send((r.balance_after * 100)::bigint)
            || int8send((r.available_after * 100)::bigint) || int4send(r.account_version) || timestamptz_send(r.posted_at)
            || r.transaction_hash)
        AND r.prev_hash = lag(r.row_hash, 1, r.base_head) OVER w
        AND r.seq = lag(r.seq, 1, r.base_seq) OVER w + 1
        AND r.balance_after = lag(r.balance_after, 1, r.base_balance) OVER w + s.signed
        AND r.posted_at >= lag(r.posted_at, 1, r.posted_at) OVER w AS fine
    FROM rows AS r
    CROSS JOIN LATERAL (SELECT CASE r.entry_type WHEN 'DEBIT' THEN -r.amount WHEN 'CREDIT' THEN r.amount END AS signed) AS s
    WINDOW w AS (PARTITION BY r.account_id ORDER BY r.seq)
), chains AS (
    SELECT c.account_id, count(*) AS n, bool_and(c.fine IS TRUE) AS fine, max(c.seq) AS seq,
        max(c.row_hash) FILTER (WHERE c.is_last) AS head, max(c.balance_after) FILTER (WHERE c.is_last) AS balance
    FROM checked AS c
    GROUP BY c.account_id
), judged AS (
    SELECT coalesce(a.account_id, c.account_id) AS account_id, coalesce(c.n, 0) AS n, a.currency, a.balance,
        coalesce(c.fine, true) AND a.log_seq = coalesce(c.seq, b.seq, 0) AND a.log_head = coalesce(c.head, b.head, %(zero)s::bytea)
        AND a.balance = coalesce(c.balance, b.balance, 0) AS fine
    FROM (SELECT x.* FROM accounts.accounts AS x WHERE x.account_id BETWEEN %(first)s AND %(last)s) AS a
    FULL JOIN chains AS c ON c.account_id = a.account_id
    LEFT JOIN base AS b ON b.account_id = a.account_id
)
SELECT count(*) AS items, coalesce(sum(j.n), 0)::bigint AS rows,
    coalesce(sum(j.balance) FILTER (WHERE j.currency = 'NZD'), 0) AS nzd, coalesce(sum(j.balance) FILTER (WHERE j.currency = 'AUD'), 0) AS aud,
    coalesce((array_agg(j.account_id ORDER BY j.account_id) FILTER (WHERE j.fine IS NOT TRUE))[:20], '{}') AS faulty,
    count(*) FILTER (WHERE j.fine IS NOT TRUE) AS faults
FROM judged AS j

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
    SELECT r.account_id, r.seq, r.row_hash, lead(r.seq) OVER w IS NULL AS is_last,
        r.row_hash = sha256(r.prev_hash || uuid_send(r.account_id) || int8send(r.seq) || uuid_send(r.hold_id)
            || convert_to(left(r.event, 1), 'UTF8') || int8send((r.amount * 100)::bigint)
            || int8send((r.available_after * 100)::bigint) || int4send(r.account_version) || timestamptz_send(r.expires_at)
            || timestamptz_send(r.recorded_at)
            || convert_to(concat(octet_length(r.reason), ':', r.reason, octet_length(r.idempotency_key), ':', r.idempotency_key,
                octet_length(r.payment_id), ':', r.payment_id), 'UTF8'))
        AND r.prev_hash = lag(r.row_hash, 1, r.base_head) OVER w
        AND r.seq = lag(r.seq, 1, r.base_seq) OVER w + 1 AS fine
    FROM rows AS r
    WINDOW w AS (PARTITION BY r.account_id ORDER BY r.seq)
), chains AS (
    SELECT c.account_id, count(*) AS n, bool_and(c.fine IS TRUE) AS fine, max(c.seq) AS seq,
        max(c.row_hash) FILTER (WHERE c.is_last) AS head
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

-- account_heads --
SELECT a.log_seq, a.log_head, a.balance, a.hold_seq, a.hold_head
FROM accounts.accounts AS a
WHERE a.account_id = %(account_id)s

-- account_base --
SELECT e.seq, e.head, l.balance_after AS balance, e.hold_seq, e.hold_head
FROM core.log_seal_entries AS e
LEFT JOIN core.transaction_log AS l ON l.account_id = e.account_id AND l.seq = e.seq
WHERE e.account_id = %(account_id)s AND e.seal_no <= %(since)s
ORDER BY e.seal_no DESC
LIMIT 1

-- account_log --
SELECT l.account_id, l.seq, l.transaction_id, l.leg, l.entry_type, l.amount, l.currency, l.balance_after, l.available_after,
    l.account_version, l.posted_at, l.transaction_hash, l.prev_hash, l.row_hash
FROM core.transaction_log AS l
WHERE l.account_id = %(account_id)s AND l.seq > %(seq)s
ORDER BY l.seq

-- account_hold_log --
SELECT l.account_id, l.seq, l.hold_id, l.event, l.amount, l.available_after, l.account_version, l.expires_at, l.recorded_at,
    l.reason, l.idempotency_key, l.payment_id, l.prev_hash, l.row_hash
FROM core.hold_log AS l
WHERE l.account_id = %(account_id)s AND l.seq > %(seq)s
ORDER BY l.seq

-- journal --
-- Every transaction of a range: its header has the hash that its rows in the log name, each posting is the log's row,
-- legs are numbered 1..n, debits equal credits in each currency, and what it reverses is on record.
WITH headers AS (
    SELECT t.transaction_id, t.posting_date, t.value_date, t.reverses_transaction_id, sha256(uuid_send(t.transaction_id)
        || coalesce(uuid_send(t.reverses_transaction_id), '\x00000000000000000000000000000000'::bytea)
        || date_send(t.posting_date) || date_send(t.value_date) || timestamptz_send(t.created_at)
        || convert_to(concat(octet_length(t.idempotency_key), ':', t.idempotency_key, octet_length(t.source_module), ':',
            t.source_module, octet_length(t.description), ':', t.description, octet_length(t.trace_id), ':', t.trace_id,
            octet_length(t.correlation_id), ':', t.correlation_id, octet_length(t.created_by), ':', t.created_by), 'UTF8')) AS hash
    FROM accounts.transactions AS t
    WHERE t.transaction_id BETWEEN %(first)s AND %(last)s
), legs AS (
    SELECT coalesce(p.transaction_id, l.transaction_id) AS transaction_id, count(*) AS n, max(p.leg) AS last_leg,
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
        g.same AND g.n >= 2 AND g.last_leg = g.n AND g.balanced AND g.low = h.hash AND g.high = h.hash
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
        AND p.idempotency_key = c.idempotency_key) IS NOT TRUE
    OR p.payment_id IS DISTINCT FROM c.payment_id
    OR (p.released_at, p.release_reason, CASE WHEN p.released_at IS NOT NULL THEN p.amount END)
    IS DISTINCT FROM (r.recorded_at, r.reason, r.amount)
ORDER BY 1
LIMIT 20

-- held_sums --
SELECT coalesce(a.account_id, h.account_id)::text AS row, 'balance' AS kind, CASE
    WHEN a.account_id IS NULL THEN 'there are holds on an account that is not there'
    ELSE 'available_balance says ' || a.available_balance || ', balance less unreleased holds is ' || a.balance - coalesce(h.held, 0)
END AS message
FROM accounts.accounts AS a
FULL JOIN (
    SELECT p.account_id, sum(p.amount) AS held FROM accounts.pending_holds AS p WHERE p.released_at IS NULL GROUP BY 1
) AS h ON h.account_id = a.account_id
WHERE (a.available_balance = a.balance - coalesce(h.held, 0)) IS NOT TRUE
ORDER BY 1
LIMIT 20

-- snapshot_runs --
SELECT r.jurisdiction, r.snapshot_date, r.cutoff_at, r.accounts
FROM core.eod_runs AS r
LEFT JOIN core.log_seals AS s ON s.seal_no = %(since)s
WHERE r.taken_at > s.sealed_at OR s.sealed_at IS NULL
ORDER BY r.snapshot_date, r.jurisdiction

-- snapshot_strays --
SELECT DISTINCT x.jurisdiction || ' ' || x.snapshot_date AS row, 'inserted' AS kind, 'snapshots without a run' AS message
FROM accounts.daily_balance_snapshots AS x
WHERE NOT EXISTS (
    SELECT FROM core.eod_runs AS r WHERE r.jurisdiction = x.jurisdiction AND r.snapshot_date = x.snapshot_date
)
LIMIT 20

-- snapshot --
-- One run's figures against the logs: the row that each names, nothing after it before the cutoff, the holds of then.
WITH held AS (
    SELECT h.account_id, sum(CASE h.event WHEN 'CREATED' THEN h.amount ELSE -h.amount END) AS amount
    FROM core.hold_log AS h
    WHERE h.recorded_at <= %(cutoff_at)s AND h.expires_at > %(cutoff_at)s
    GROUP BY h.account_id
), judged AS (
    SELECT coalesce(a.account_id, x.account_id) AS account_id,
        a.account_id IS NOT NULL AND x.currency = a.currency AND x.cutoff_at = %(cutoff_at)s
        AND x.balance = coalesce(l.balance_after, 0) AND (l.seq IS NOT NULL OR x.log_seq = 0)
        AND coalesce(l.posted_at <= %(cutoff_at)s, true) AND coalesce(n.posted_at > %(cutoff_at)s, true)
        AND x.held = coalesce(h.amount, 0) AND x.available_balance = x.balance - x.held AS fine
    FROM (
        SELECT s.*
        FROM accounts.daily_balance_snapshots AS s
        WHERE s.snapshot_date = %(snapshot_date)s AND s.jurisdiction = %(jurisdiction)s
    ) AS x
    FULL JOIN (
        SELECT y.* FROM accounts.accounts AS y WHERE y.jurisdiction = %(jurisdiction)s AND y.opened_at <= %(cutoff_at)s
    ) AS a ON a.account_id = x.account_id
    LEFT JOIN core.transaction_log AS l ON l.account_id = x.account_id AND l.seq = x.log_seq
    LEFT JOIN core.transaction_log AS n ON n.account_id = x.account_id AND n.seq = x.log_seq + 1
    LEFT JOIN held AS h ON h.account_id = x.account_id
)
SELECT count(*) AS items, count(*) AS rows, 0::numeric AS nzd, 0::numeric AS aud,
    coalesce((array_agg(j.account_id ORDER BY j.account_id) FILTER (WHERE j.fine IS NOT TRUE))[:20], '{}') AS faulty,
    count(*) FILTER (WHERE j.fine IS NOT TRUE) AS faults
FROM judged AS j

-- seals --
SELECT s.seal_no, s.previous_hash, s.accounts, s.log_rows, s.hold_rows, s.batch_hash, s.seal_hash, s.sealed_at
FROM core.log_seals AS s
WHERE s.seal_no > %(since)s
ORDER BY s.seal_no

-- seal_batch --
-- The heads that a seal is over, each compared with the row that it is the hash of.
SELECT
    count(*) AS entries,
    sha256(coalesce(string_agg(uuid_send(e.account_id) || int8send(e.seq) || e.head || int8send(e.hold_seq) || e.hold_head, ''
        ORDER BY e.account_id), '')) AS batch_hash,
    coalesce((array_agg(e.account_id ORDER BY e.account_id) FILTER (
        WHERE (e.head = coalesce(l.row_hash, CASE e.seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE
            OR (e.hold_head = coalesce(h.row_hash, CASE e.hold_seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE))[:20], '{}') AS faulty
FROM core.log_seal_entries AS e
LEFT JOIN core.transaction_log AS l ON l.account_id = e.account_id AND l.seq = e.seq
LEFT JOIN core.hold_log AS h ON h.account_id = e.account_id AND h.seq = e.hold_seq
WHERE e.seal_no = %(seal_no)s

-- account_seals --
SELECT e.seal_no::text || '/' || e.account_id AS row, 'altered' AS kind, 'the chain is not the one that was sealed' AS message
FROM core.log_seal_entries AS e
LEFT JOIN core.transaction_log AS l ON l.account_id = e.account_id AND l.seq = e.seq
LEFT JOIN core.hold_log AS h ON h.account_id = e.account_id AND h.seq = e.hold_seq
WHERE e.account_id = %(account_id)s
    AND ((e.head = coalesce(l.row_hash, CASE e.seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE
        OR (e.hold_head = coalesce(h.row_hash, CASE e.hold_seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE)
ORDER BY e.seal_no
LIMIT 20

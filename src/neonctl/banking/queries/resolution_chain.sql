-- settings --
-- How values are written decides their hashes; and nothing is found by its bare name but what is Postgres' own.
SELECT
    pg_catalog.set_config('search_path', 'pg_catalog', true),
    pg_catalog.set_config('timezone', 'UTC', true),
    pg_catalog.set_config('bytea_output', 'hex', true),
    pg_catalog.set_config('work_mem', '64MB', true),
    pg_catalog.set_config('jit', 'off', true)

-- links --
SELECT c.link_no, c.relation, c.row_key, c.row_hash, c.link_hash
FROM core.obr_chain AS c
ORDER BY c.link_no

-- chain --
-- The record's rows against their links, and the links against each other; the first that is wrong comes first. What
-- should not be NULL may be, once somebody has dropped a constraint: that is a difference like any other.
WITH kept AS (
    SELECT 'core.obr_partition_events' AS relation, x.event_no::text AS row_key, to_jsonb(x) AS facts
    FROM core.obr_partition_events AS x
    UNION ALL
    SELECT 'core.obr_instructions', x.instruction_id::text, to_jsonb(x) FROM core.obr_instructions AS x
    UNION ALL
    SELECT 'core.obr_permanent_haircuts', x.event_id::text, to_jsonb(x) FROM core.obr_permanent_haircuts AS x
    UNION ALL
    SELECT 'core.obr_keys', x.key_id, to_jsonb(x) FROM core.obr_keys AS x
    UNION ALL
    SELECT 'core.obr_key_revocations', x.key_id, to_jsonb(x) FROM core.obr_key_revocations AS x
    UNION ALL
    SELECT 'core.obr_drills', x.drill_id::text, to_jsonb(x) FROM core.obr_drills AS x
),
links AS (
    SELECT
        c.*,
        lag(c.link_no, 1, 0::bigint) OVER in_order + 1 AS due_no,
        lag(c.link_hash, 1, %(zero)s::bytea) OVER in_order AS due_hash
    FROM core.obr_chain AS c
    WINDOW in_order AS (ORDER BY c.link_no)
),
looked AS (
    SELECT
        l.link_no,
        concat(coalesce(l.relation, k.relation, 'core.obr_chain'), '/', coalesce(l.row_key, k.row_key)) AS row,
        CASE
            WHEN l.link_no IS NULL THEN 'inserted'
            WHEN l.link_no IS DISTINCT FROM l.due_no THEN 'removed'
            WHEN l.previous_hash IS DISTINCT FROM l.due_hash THEN 'reordered'
            WHEN l.link_hash IS DISTINCT FROM sha256(l.previous_hash || int8send(l.link_no) || convert_to(concat(octet_length(l.relation), ':',
                l.relation, octet_length(l.row_key), ':', l.row_key), 'UTF8') || l.row_hash) THEN 'relinked'
            WHEN k.facts IS NULL THEN 'gone'
            WHEN l.row_hash IS DISTINCT FROM (
                SELECT sha256(convert_to(jsonb_object_agg(f.key, f.value)::text, 'UTF8'))
                FROM jsonb_each(k.facts) AS f
                WHERE f.value <> 'null'
            ) THEN 'altered'
        END AS wrong
    FROM links AS l
    FULL JOIN kept AS k ON k.relation = l.relation AND k.row_key = l.row_key
)
SELECT f.row, replace(replace(f.wrong, 'gone', 'removed'), 'relinked', 'altered') AS kind, CASE f.wrong
    WHEN 'inserted' THEN 'was written past the triggers: core.obr_chain does not know it'
    WHEN 'removed' THEN 'links of core.obr_chain before its own, ' || f.link_no || ', are missing'
    WHEN 'reordered' THEN 'its link ' || f.link_no || ' of core.obr_chain does not follow the one before'
    WHEN 'relinked' THEN 'its link ' || f.link_no || ' of core.obr_chain was altered'
    WHEN 'gone' THEN 'was removed; its link in core.obr_chain is ' || f.link_no
    ELSE 'was altered; its link in core.obr_chain is ' || f.link_no
END AS message
FROM looked AS f
WHERE f.wrong IS NOT NULL
ORDER BY f.link_no, f.row
LIMIT 20

-- evidence --
-- The evidence of activations and releases against the hashes that their events keep of it, piece by piece. What is
-- available is not in them: it follows from balance and frozen.
WITH pieces AS (
    SELECT
        e.event_no,
        e.event_id,
        p.piece,
        lag(u.upto) OVER (PARTITION BY e.event_no ORDER BY p.n) AS since,
        u.upto,
        coalesce(lag(u.upto) OVER (PARTITION BY e.event_no ORDER BY p.n), '00000000-0000-0000-0000-000000000000') AS from_id,
        coalesce(u.upto, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS to_id
    FROM core.obr_partition_events AS e
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(e.metadata -> 'evidence') = 'array' AND e.metadata -> 'evidence' <> '[]'
            THEN e.metadata -> 'evidence' ELSE '[{}]' END
    ) WITH ORDINALITY AS p (piece, n)
    CROSS JOIN LATERAL (
        SELECT substring(p.piece ->> 'upto' FROM '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$')::uuid AS upto
    ) AS u
    WHERE e.event_type IN ('OBR_ACTIVATED', 'OBR_RELEASED')
),
looked AS (
    SELECT p.*, t.relation, t.found IS DISTINCT FROM concat(p.piece ->> t.counted, ' ', p.piece ->> (t.counted || '_sha256'))
        OR t.odd > 0 AS wrong
    FROM pieces AS p
    CROSS JOIN LATERAL (
        SELECT 'core.obr_account_partitions' AS relation, 'accounts' AS counted, concat(count(*), ' ', encode(sha256(coalesce(
            string_agg(uuid_send(x.account_id) || int8send(x.log_seq) || convert_to(x.currency, 'UTF8')
                || numeric_send(x.balance_at) || numeric_send(x.frozen_amount), '' ORDER BY x.account_id), '')), 'hex')) AS found,
            count(*) FILTER (WHERE x.available_amount IS DISTINCT FROM greatest(x.balance_at - x.frozen_amount, 0)) AS odd
        FROM core.obr_account_partitions AS x
        WHERE x.event_id = p.event_id AND x.account_id BETWEEN p.from_id AND p.to_id AND x.account_id IS DISTINCT FROM p.since
        UNION ALL
        SELECT 'core.obr_holder_partitions', 'holders', concat(count(*), ' ', encode(sha256(coalesce(
            string_agg(uuid_send(x.account_id) || int2send(CASE WHEN x.party_id IS NULL THEN -x.holder_no ELSE x.holder_no END)
                || coalesce(uuid_send(x.party_id), '') || numeric_send(x.share_pct) || numeric_send(x.balance_at)
                || numeric_send(x.frozen_amount), '' ORDER BY x.account_id, x.holder_no), '')), 'hex')),
            count(*) FILTER (WHERE x.available_amount IS DISTINCT FROM greatest(x.balance_at - x.frozen_amount, 0))
        FROM core.obr_holder_partitions AS x
        WHERE x.event_id = p.event_id AND x.account_id BETWEEN p.from_id AND p.to_id AND x.account_id IS DISTINCT FROM p.since
    ) AS t
)
SELECT f.relation || '/' || f.event_no AS row, 'altered' AS kind, CASE
    WHEN f.piece = '{}' THEN 'its event keeps no hash of it'
    ELSE concat('is not what its event keeps the hash of: accounts', ' after ' || f.since, ' up to ' || f.upto)
END AS message
FROM looked AS f
WHERE f.wrong
ORDER BY f.event_no, f.since NULLS FIRST, f.relation
LIMIT 20

-- strays --
-- Evidence of events that are not there.
SELECT concat(s.relation, '/', s.event_id) AS row, 'inserted' AS kind, 'evidence of no event' AS message
FROM (
    SELECT DISTINCT 'core.obr_account_partitions' AS relation, x.event_id FROM core.obr_account_partitions AS x
    UNION
    SELECT DISTINCT 'core.obr_holder_partitions', x.event_id FROM core.obr_holder_partitions AS x
) AS s
WHERE NOT EXISTS (
    SELECT FROM core.obr_partition_events AS e
    WHERE e.event_id = s.event_id
        AND (e.event_type = 'OBR_ACTIVATED' OR (e.event_type = 'OBR_RELEASED' AND s.relation = 'core.obr_account_partitions'))
)
ORDER BY 1
LIMIT 20

-- permanent_haircuts --
-- What was written off: the file against its hash in the event, and what was posted against the file.
WITH unwound AS (
    SELECT
        e.event_no,
        e.metadata,
        h.file,
        e.metadata ->> 'permanent_haircut_sha256' AS signed,
        encode(sha256(convert_to(h.file, 'UTF8')), 'hex') AS found
    FROM core.obr_partition_events AS e
    LEFT JOIN core.obr_permanent_haircuts AS h ON h.event_id = e.event_id
    WHERE e.event_type = 'OBR_UNWOUND'
),
posted AS (
    SELECT u.event_no, p.account_id::text AS account_id, sum(p.amount) AS amount
    FROM unwound AS u
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(u.metadata #> '{permanent_haircut,transactions}') WHEN 'array'
            THEN u.metadata #> '{permanent_haircut,transactions}' ELSE '[]' END
    ) AS t (posting)
    JOIN accounts.postings AS p ON p.transaction_id::text = t.posting ->> 'transaction_id' AND p.entry_type = 'DEBIT'
    GROUP BY u.event_no, p.account_id
),
asked AS (
    SELECT u.event_no, x.account_id, x.amount
    FROM unwound AS u
    CROSS JOIN LATERAL jsonb_each_text(CASE WHEN u.signed = u.found AND u.file IS JSON OBJECT THEN u.file::jsonb ELSE '{}' END) AS x (account_id, amount)
),
unlike AS (
    SELECT coalesce(a.event_no, p.event_no) AS event_no, count(*) AS accounts, min(coalesce(a.account_id, p.account_id)) AS first_one
    FROM asked AS a
    FULL JOIN posted AS p ON p.event_no = a.event_no AND p.account_id = a.account_id
    WHERE a.amount IS DISTINCT FROM p.amount::text
    GROUP BY 1
)
SELECT 'core.obr_partition_events/' || u.event_no AS row, 'altered' AS kind, CASE
    WHEN u.found IS NULL THEN 'the file of its permanent haircut is missing'
    WHEN u.found IS DISTINCT FROM u.signed THEN 'the file of its permanent haircut is not the one whose hash was signed'
    ELSE concat('what was written off is not what the file says, for ', n.accounts, ' accounts: ', n.first_one, ' for example')
END AS message
FROM unwound AS u
LEFT JOIN unlike AS n ON n.event_no = u.event_no
WHERE u.found IS DISTINCT FROM u.signed OR n.accounts > 0
ORDER BY u.event_no

-- files --
SELECT e.event_id, h.file
FROM core.obr_permanent_haircuts AS h
JOIN core.obr_partition_events AS e ON e.event_id = h.event_id
ORDER BY e.event_no

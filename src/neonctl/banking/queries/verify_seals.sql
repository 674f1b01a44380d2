-- seals --
-- A time that not every program can read becomes one that has not that hash.
SELECT s.seal_no, s.previous_hash, s.accounts, s.log_rows, s.hold_rows, s.batch_hash, s.seal_hash,
    least(greatest(s.sealed_at, '1900-01-01 00:00:00+00'), '9999-12-30 00:00:00+00') AS sealed_at
FROM core.log_seals AS s
WHERE s.seal_no > %(since)s
ORDER BY s.seal_no

-- seal_batch --
-- The heads that a seal is over, each compared with the row that it is the hash of.
SELECT
    count(*) AS entries,
    sha256(coalesce(string_agg(uuid_send(e.account_id) || int8send(e.seq) || e.head || int8send(e.hold_seq) || e.hold_head
        || int4send(e.version) || e.facts, '' ORDER BY e.account_id), '')) AS heads_hash,
    (
        SELECT string_agg(convert_to(octet_length(r.relation) || ':' || r.relation, 'UTF8') || xid8send(r.from_xid)
            || xid8send(r.upto_xid) || int8send(r.records) || r.hash, '' ORDER BY r.relation)
        FROM core.log_seal_records AS r
        WHERE r.seal_no = %(seal_no)s
    ) AS records,
    coalesce((array_agg(e.account_id ORDER BY e.account_id) FILTER (
        WHERE (e.head = coalesce(l.row_hash, CASE e.seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE
            OR (e.hold_head = coalesce(h.row_hash, CASE e.hold_seq WHEN 0 THEN %(zero)s::bytea END)) IS NOT TRUE))[:20], '{}') AS faulty
FROM core.log_seal_entries AS e
LEFT JOIN core.transaction_log AS l ON l.account_id = e.account_id AND l.seq = e.seq
LEFT JOIN core.hold_log AS h ON h.account_id = e.account_id AND h.seq = e.hold_seq
WHERE e.seal_no = %(seal_no)s

-- facts --
-- What a seal says that accounts were, against what they are and how their standing changed up to then.
WITH wrong AS NOT MATERIALIZED (
    SELECT e.seal_no, e.account_id
    FROM core.log_seal_entries AS e
    LEFT JOIN accounts.accounts AS a ON a.account_id = e.account_id
    WHERE (e.version <= a.version AND e.facts = sha256(uuid_send(a.account_id) || timestamptz_send(a.opened_at)
                || int8send((a.overdraft_limit * 100)::bigint) || boolsend(a.is_internal) || coalesce(uuid_send(a.shard_of), '')
                || convert_to(concat(octet_length(a.account_number), ':', a.account_number, octet_length(a.product_code), ':',
                    a.product_code, octet_length(a.currency), ':', a.currency, octet_length(a.jurisdiction), ':', a.jurisdiction,
                    octet_length(a.idempotency_key), ':', a.idempotency_key, encode(a.request_hash, 'hex')), 'UTF8')
                || coalesce((
                    SELECT string_agg(int4send(c.version) || timestamptz_send(c.changed_at) || convert_to(concat(
                        octet_length(c.from_status), ':', c.from_status, octet_length(c.from_restriction_reason), ':',
                        c.from_restriction_reason, octet_length(c.to_status), ':', c.to_status,
                        octet_length(c.to_restriction_reason), ':', c.to_restriction_reason, octet_length(c.db_user), ':', c.db_user,
                        octet_length(c.actor), ':', c.actor, octet_length(c.trace_id), ':', c.trace_id,
                        octet_length(c.correlation_id), ':', c.correlation_id), 'UTF8'), '' ORDER BY c.version)
                    FROM accounts.status_changes AS c
                    WHERE c.account_id = a.account_id AND c.version <= e.version
                ), ''))) IS NOT TRUE
)
SELECT w.seal_no || '/' || w.account_id AS row, 'altered' AS kind,
    'account ' || w.account_id || ', or a change of its standing, is not what was sealed' AS message
FROM wrong AS w

-- facts_of_seal --
WHERE w.seal_no = %(seal_no)s
ORDER BY w.account_id
LIMIT 20

-- facts_of_account --
WHERE w.account_id = %(account_id)s
ORDER BY w.seal_no
LIMIT 20

-- seal_records --
-- What was written into other tables by the transactions that a seal is over, against what it was then.
SELECT f.seal_no || '/' || f.relation AS row, 'altered' AS kind, 'of the ' || f.records || ' records of ' || f.relation
    || ' that seal ' || f.seal_no || ' is over one was altered or removed, or one was added' || f.named AS message
FROM (
    SELECT r.*, y.n, y.found, '' AS named
    FROM core.log_seal_records AS r
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, sha256(string_agg(z.h, '' ORDER BY z.h)) AS found
        FROM (
            SELECT sha256(record_send(x)) AS h FROM core.audit_log AS x WHERE x.xid >= r.from_xid AND x.xid < r.upto_xid
        ) AS z
    ) AS y
    WHERE r.relation = 'core.audit_log'
    UNION ALL
    SELECT r.*, y.n, y.found, '; the first of them is now ' || y.named
    FROM core.log_seal_records AS r
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, sha256(string_agg(z.h, '' ORDER BY z.h)) AS found,
            (array_agg('link ' || z.link_no || ', ' || z.relation || '/' || z.row_key ORDER BY z.link_no))[1] AS named
        FROM (
            SELECT sha256(record_send(x)) AS h, x.link_no, x.relation, x.row_key
            FROM core.obr_chain AS x
            WHERE x.xid >= r.from_xid AND x.xid < r.upto_xid
        ) AS z
    ) AS y
    WHERE r.relation = 'core.obr_chain'
) AS f
WHERE f.seal_no = %(seal_no)s AND (f.n = f.records AND f.found = f.hash) IS NOT TRUE
ORDER BY f.relation

-- unsealed --
SELECT w.relation AS row, 'removed' AS kind, 'seals are no longer over ' || w.relation AS message
FROM (VALUES ('core.audit_log', false), ('core.obr_chain', true)) AS w (relation, by_itself)
WHERE NOT EXISTS (SELECT FROM core.sealed_tables AS t WHERE t.relation = w.relation AND t.by_itself = w.by_itself)

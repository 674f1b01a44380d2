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

-- account_facts --
SELECT e.seal_no || '/' || e.account_id AS row, 'altered' AS kind,
    'account ' || e.account_id || ', or a change of its standing, is not what was sealed' AS message
FROM core.log_seal_entries AS e
LEFT JOIN accounts.accounts AS a ON a.account_id = e.account_id
WHERE e.account_id = %(account_id)s AND (e.version <= a.version AND e.facts = sha256(uuid_send(a.account_id) || timestamptz_send(a.opened_at)
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
ORDER BY e.seal_no
LIMIT 20

-- account_heads --
SELECT a.log_seq, a.log_head, a.balance, a.currency, a.hold_seq, a.hold_head
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

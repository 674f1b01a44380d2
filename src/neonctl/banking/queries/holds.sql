-- create --
SELECT * FROM accounts.create_hold(%s, %s, %s, %s, %s, %s, %s)

-- release --
SELECT h.hold_id, h.account_id, h.amount, h.released_at, h.release_reason, h.released
FROM accounts.release_hold(
    p_hold_id => %(hold_id)s::uuid, p_reason => %(reason)s::text, p_trace_id => %(trace_id)s::text,
    p_correlation_id => %(correlation_id)s::text
) AS h

-- list --
SELECT
    h.hold_id, h.account_id, h.amount, h.payment_id, h.created_at, h.expires_at, h.released_at, h.release_reason,
    h.released_at IS NULL AND h.expires_at > statement_timestamp() AS active
FROM accounts.pending_holds AS h
WHERE (%(account_id)s::uuid IS NULL OR h.account_id = %(account_id)s::uuid)
    AND (%(ended)s::boolean OR (h.released_at IS NULL AND h.expires_at > statement_timestamp()))
ORDER BY h.created_at DESC, h.hold_id DESC
LIMIT %(limit)s::bigint

-- sweep --
SELECT s.hold_id, s.account_id, s.amount, s.expires_at
FROM accounts.sweep_holds(p_limit => %(limit)s::integer) AS s

-- open --
SELECT o.account_id, o.account_number, o.replayed
FROM accounts.open_account(
    p_currency => %(currency)s::text, p_jurisdiction => %(jurisdiction)s::text, p_party_ids => %(party_ids)s::uuid[],
    p_shares => %(shares)s::numeric[], p_is_internal => %(is_internal)s::boolean,
    p_overdraft_limit => %(overdraft_limit)s::numeric, p_idempotency_key => %(idempotency_key)s::text,
    p_product_code => %(product_code)s::text, p_account_number => %(account_number)s::text, p_status => %(status)s::text,
    p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text, p_correlation_id => %(correlation_id)s::text
) AS o

-- read --
SELECT
    a.account_id, a.account_number, a.product_code, a.currency, a.jurisdiction, a.status, a.restriction_reason, a.is_internal,
    a.overdraft_limit, a.allows_debit, a.allows_credit, a.version, a.opened_at, a.last_posted_at,
    coalesce(cardinality(a.shards), 0) AS shards, coalesce(p.party_ids, '{}') AS party_ids,
    coalesce(p.party_roles, '{}') AS party_roles, coalesce(p.party_shares, '{}') AS party_shares
FROM accounts.accounts AS a
CROSS JOIN LATERAL (
    SELECT
        array_agg(r.party_id ORDER BY r.role, r.party_id) AS party_ids,
        array_agg(r.role ORDER BY r.role, r.party_id) AS party_roles,
        array_agg(r.balance_share_pct ORDER BY r.role, r.party_id) AS party_shares
    FROM accounts.account_party_relationships AS r
    WHERE r.account_id = a.account_id AND r.valid_from <= now() AND (r.valid_to IS NULL OR r.valid_to > now())
) AS p
WHERE a.account_id = %(account_id)s

-- set_status --
SELECT s.account_id, s.status, s.restriction_reason, s.version, s.changed
FROM accounts.set_account_status(
    p_account_id => %(account_id)s::uuid, p_status => %(status)s::text,
    p_restriction_reason => %(restriction_reason)s::text, p_actor => %(actor)s::text, p_trace_id => %(trace_id)s::text,
    p_correlation_id => %(correlation_id)s::text
) AS s

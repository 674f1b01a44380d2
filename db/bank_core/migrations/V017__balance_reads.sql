-- squawk-ignore-file prefer-bigint-over-int
-- (`version` is an int in the contract)
--
-- Balances for who may not prepare statements, as through a pooler: the server keeps the plans of a function's queries,
-- where it would plan the same query anew for each call. They read with the rights of who asks.

-- The same as the query `get` of balances.sql, which is quicker where it can be prepared.
CREATE FUNCTION accounts.balance(
    p_account_id uuid,
    OUT currency text, OUT balance numeric, OUT held numeric, OUT version integer, OUT as_of timestamptz,
    OUT shards uuid [], OUT unfrozen numeric
)
LANGUAGE sql STABLE AS $$
    SELECT a.currency::text, a.balance, CASE
            WHEN a.available_balance = a.balance THEN 0.00 -- most accounts have no holds, by their own figures
            ELSE accounts.held(a.account_id)
        END, a.version, pg_catalog.statement_timestamp(), a.shards, CASE WHEN a.obr_partitioned THEN a.obr_available_amount::numeric END
    FROM accounts.accounts AS a
    WHERE a.account_id = p_account_id
$$;

CREATE FUNCTION accounts.party_balances(p_party_id uuid)
RETURNS TABLE (
    account_id uuid, account_number text, role text, balance_share_pct numeric, status text, currency text, balance numeric,
    held numeric, version integer, as_of timestamptz, unfrozen numeric
)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- Holds of many accounts in one query, which looks only where an account's own figures say that there are some.
    RETURN QUERY
    SELECT a.account_id, a.account_number::text, r.role, r.balance_share_pct, a.status::text, a.currency::text, a.balance,
        coalesce(h.held, 0.00), a.version, pg_catalog.statement_timestamp(),
        CASE WHEN a.obr_partitioned THEN a.obr_available_amount::numeric END
    FROM accounts.account_party_relationships AS r
    JOIN accounts.accounts AS a ON a.account_id = r.account_id
    LEFT JOIN LATERAL (
        SELECT sum(x.amount) AS held
        FROM accounts.pending_holds AS x
        WHERE a.available_balance <> a.balance AND x.account_id = a.account_id AND x.released_at IS NULL
            AND x.expires_at > pg_catalog.statement_timestamp()
    ) AS h ON true
    WHERE r.party_id = p_party_id AND r.valid_from <= pg_catalog.statement_timestamp()
        AND (r.valid_to IS NULL OR r.valid_to > pg_catalog.statement_timestamp())
    ORDER BY a.opened_at, a.account_id, r.role;
END
$$;

REVOKE EXECUTE ON FUNCTION accounts.balance(uuid), accounts.party_balances(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION accounts.balance(uuid), accounts.party_balances(uuid) TO bank_core_app_user, bank_core_readonly;

-- standings_within --
-- What accounts may do, what moved them on and what they are spread over, against what is on record of it. Most accounts
-- are in use, were never restricted and have no shards: that they are right is seen without looking anywhere else.
WITH others AS NOT MATERIALIZED (
    SELECT t.*
    FROM accounts.accounts AS t
    WHERE t.account_id BETWEEN %(first)s AND %(last)s AND (
        (t.log_seq BETWEEN 0 AND t.version AND t.version - t.log_seq = t.hold_seq AND t.allows_debit AND t.allows_credit AND t.status = 'ACTIVE'
            AND t.restriction_reason IS NULL AND t.shards IS NULL AND t.shard_of IS NULL
            AND (t.balance >= 0 OR t.is_internal OR t.balance + t.overdraft_limit >= 0)
            AND (SELECT u.allows_debit AND u.allows_credit FROM accounts.status_rules AS u WHERE u.status = 'ACTIVE' AND u.restriction_reason = '')
        ) IS NOT TRUE
        OR t.account_id IN (SELECT u.account_id FROM accounts.status_changes AS u WHERE u.account_id BETWEEN %(first)s AND %(last)s)
    )
)

-- standings_of --
-- The same of those that a proof has named, and of all whose standing was ever changed.
WITH others AS NOT MATERIALIZED (
    SELECT t.*
    FROM accounts.accounts AS t
    WHERE t.account_id IN (
        SELECT unnest(%(others)s::uuid [])
        UNION
        SELECT u.account_id FROM accounts.status_changes AS u WHERE u.account_id BETWEEN %(first)s AND %(last)s
    )
)

-- standings --
SELECT x.account_id::text AS row, 'altered' AS kind, x.message
FROM (
    SELECT a.account_id, CASE
        WHEN c.account_id IS NOT NULL AND (a.status, a.restriction_reason) IS DISTINCT FROM (c.to_status, c.to_restriction_reason)
            THEN 'the account is ' || concat_ws(' ', a.status, a.restriction_reason) || ', its last change made it '
                || concat_ws(' ', c.to_status, c.to_restriction_reason)
        WHEN (a.allows_credit = coalesce(r.allows_credit, w.allows_credit) AND a.allows_debit = (coalesce(r.allows_debit, w.allows_debit)
                OR (a.obr_partitioned AND coalesce(r.lifted_in_resolution, w.lifted_in_resolution)))) IS NOT TRUE
            THEN 'what the account may do is not what its standing allows'
        WHEN a.version <> a.log_seq::numeric + a.hold_seq + coalesce(c.n, 0)
            THEN 'the account''s version is ' || a.version || ', it has moved ' || a.log_seq::numeric + a.hold_seq + coalesce(c.n, 0)
                || ' times'
        WHEN NOT a.is_internal AND a.balance + a.overdraft_limit < 0
            THEN 'the account is overdrawn by more than its limit of ' || a.overdraft_limit
        -- That no shard is missing in the list its shards say themselves; who asks for one account does not look at them.
        WHEN a.shards IS NOT NULL AND ((SELECT count(*) FROM accounts.accounts AS s WHERE s.account_id = ANY(a.shards)
                AND s.shard_of = a.account_id) <> cardinality(a.shards)
            OR (%(first)s::uuid = %(last)s::uuid AND EXISTS (
                SELECT FROM accounts.accounts AS s WHERE s.shard_of = a.account_id AND s.account_id <> ALL(a.shards))))
            THEN 'the account''s list of shards is not that of the accounts that are shards of it'
        WHEN a.shard_of IS NOT NULL AND (p.currency = a.currency AND p.jurisdiction = a.jurisdiction AND p.is_internal
                AND a.is_internal AND p.status = a.status AND p.restriction_reason IS NOT DISTINCT FROM a.restriction_reason) IS NOT TRUE
            THEN 'the shard is not like the account that it is a shard of'
        WHEN a.shard_of IS NOT NULL AND (a.account_id = ANY(p.shards)) IS NOT TRUE
            THEN 'the account that it is a shard of does not list it'
    END AS message
    FROM others AS a
    LEFT JOIN accounts.status_rules AS r ON r.status = a.status AND r.restriction_reason = coalesce(a.restriction_reason, '')
    LEFT JOIN accounts.status_rules AS w ON r.status IS NULL AND w.status = a.status AND w.restriction_reason = '*'
    LEFT JOIN (
        SELECT DISTINCT ON (t.account_id) t.account_id, t.to_status, t.to_restriction_reason, count(*) OVER (PARTITION BY t.account_id) AS n
        FROM accounts.status_changes AS t
        WHERE t.account_id BETWEEN %(first)s AND %(last)s
        ORDER BY t.account_id, t.version DESC
    ) AS c ON c.account_id = a.account_id
    LEFT JOIN accounts.accounts AS p ON p.account_id = a.shard_of
) AS x
WHERE x.message IS NOT NULL
ORDER BY 1
LIMIT 20

-- status_changes --
-- Each change begins where the one before ended, and none is newer than its account.
SELECT x.account_id || '/' || x.version AS row, 'altered' AS kind, CASE
    WHEN x.newest IS NULL THEN 'the change is of an account that is not there'
    WHEN x.version > x.newest THEN 'the change is newer than its account'
    ELSE 'the change does not begin where the one before it ended'
END AS message
FROM (
    SELECT c.account_id, c.version, a.version AS newest, c.from_status, c.from_restriction_reason,
        lag(c.to_status, 1, c.from_status) OVER w AS ended_status,
        CASE WHEN lag(c.version) OVER w IS NULL THEN c.from_restriction_reason ELSE lag(c.to_restriction_reason) OVER w END AS ended_reason
    FROM accounts.status_changes AS c
    LEFT JOIN accounts.accounts AS a ON a.account_id = c.account_id
    WHERE %(account_id)s::uuid IS NULL OR c.account_id = %(account_id)s::uuid
    WINDOW w AS (PARTITION BY c.account_id ORDER BY c.version)
) AS x
WHERE (x.version <= x.newest) IS NOT TRUE
    OR (x.from_status, x.from_restriction_reason) IS DISTINCT FROM (x.ended_status, x.ended_reason)
ORDER BY 1
LIMIT 20

-- holders --
SELECT r.account_id::text AS row, 'altered' AS kind, CASE
    WHEN a.account_id IS NULL THEN 'there are parties to an account that is not there'
    ELSE 'the holders'' shares sum to ' || r.share || ', not to 100'
END AS message
FROM (
    SELECT h.account_id, sum(h.balance_share_pct) FILTER (
        WHERE h.valid_from <= statement_timestamp() AND (h.valid_to IS NULL OR h.valid_to > statement_timestamp())) AS share
    FROM accounts.account_party_relationships AS h
    WHERE %(account_id)s::uuid IS NULL OR h.account_id = %(account_id)s::uuid
    GROUP BY h.account_id
) AS r
LEFT JOIN accounts.accounts AS a ON a.account_id = r.account_id
WHERE a.account_id IS NULL OR r.share <> 100
ORDER BY 1
LIMIT 20

-- reversals --
SELECT r.reversed_transaction_id::text AS row, 'inserted' AS kind, 'there is no transaction ' || r.transaction_id || ' that reverses it' AS message
FROM accounts.reversals AS r
LEFT JOIN accounts.transactions AS t
    ON t.transaction_id = r.transaction_id AND t.reverses_transaction_id = r.reversed_transaction_id
WHERE t.transaction_id IS NULL
ORDER BY 1
LIMIT 20

-- seal_entries --
SELECT e.seal_no || '/' || e.account_id AS row, 'inserted' AS kind, 'there is no seal ' || e.seal_no AS message
FROM core.log_seal_entries AS e
WHERE NOT EXISTS (SELECT FROM core.log_seals AS s WHERE s.seal_no = e.seal_no)
ORDER BY 1
LIMIT 20

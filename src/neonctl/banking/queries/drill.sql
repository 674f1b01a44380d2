-- figures --
-- What an activation and its unwind must leave as they were, of the customers and of the bank: sums to read, and one
-- number that any changed account changes. Versions and times move with every update.
SELECT
    a.currency::text AS currency,
    a.is_internal,
    count(*) AS accounts,
    coalesce(sum(a.balance), 0) AS balance,
    coalesce(sum(a.available_balance), 0) AS available_balance,
    coalesce(sum(a.obr_frozen_amount), 0) AS frozen,
    coalesce(sum(a.obr_available_amount), 0) AS available,
    coalesce(sum(hash_record_extended(ROW(a.account_id, a.status::text, a.restriction_reason::text, a.is_internal, a.balance,
        a.available_balance, a.overdraft_limit::numeric, a.allows_debit, a.allows_credit), 0)::numeric), 0) AS digest
FROM accounts.accounts AS a
GROUP BY 1, 2
ORDER BY 1, 2

-- sums --
SELECT
    a.currency::text AS currency,
    count(*) AS accounts,
    (
        SELECT count(*)
        FROM (
            SELECT FROM accounts.account_party_relationships AS r
            JOIN accounts.accounts AS j ON j.account_id = r.account_id
            WHERE r.role = 'HOLDER' AND (r.valid_to IS NULL OR r.valid_to > now()) AND j.currency = a.currency
            GROUP BY r.account_id
            HAVING count(*) > 1
        ) AS several
    ) AS joint,
    count(*) FILTER (WHERE a.balance <= 0) AS not_positive,
    coalesce(sum(a.balance), 0) AS balance,
    coalesce(sum(a.obr_frozen_amount), 0) AS frozen,
    coalesce(sum(a.obr_available_amount), 0) AS available
FROM accounts.accounts AS a
WHERE NOT a.is_internal
GROUP BY a.currency
ORDER BY a.currency

-- depositors --
-- Depositor Compensation Scheme (Deposit Takers Act 2023 ss 203-205): per depositor, NZD accounts in credit only, the
-- lesser of what is deposited and the limit. Parts of a joint account are the steps of its rounded running total, so they
-- add up to the cent. What is frozen of a depositor falls on protected and other money in the proportion of both.
WITH holdings AS (
    SELECT
        r.party_id,
        a.balance,
        a.obr_frozen_amount AS frozen,
        sum(w.weight) OVER running - w.weight AS below,
        sum(w.weight) OVER running AS upto,
        sum(w.weight) OVER (PARTITION BY r.account_id) AS whole
    FROM accounts.accounts AS a
    JOIN accounts.account_party_relationships AS r
        ON r.account_id = a.account_id AND r.role = 'HOLDER' AND r.valid_from <= now() AND (r.valid_to IS NULL OR r.valid_to > now())
    CROSS JOIN LATERAL (SELECT CASE WHEN %(equal_shares)s::boolean THEN 1 ELSE r.balance_share_pct END) AS w (weight)
    WHERE NOT a.is_internal AND a.jurisdiction = 'NZ' AND a.currency = 'NZD' AND a.balance > 0
    WINDOW running AS (PARTITION BY r.account_id ORDER BY r.party_id)
), depositors AS (
    SELECT
        h.party_id,
        sum(round(h.balance * h.upto / h.whole, 2) - round(h.balance * h.below / h.whole, 2)) AS deposits,
        sum(round(h.frozen * h.upto / h.whole, 2) - round(h.frozen * h.below / h.whole, 2)) AS frozen
    FROM holdings AS h
    GROUP BY h.party_id
), covered AS (
    SELECT
        d.deposits,
        d.frozen,
        least(d.deposits, %(protected_limit)s::numeric) AS protected,
        CASE
            WHEN d.deposits <= %(protected_limit)s::numeric THEN d.frozen
            ELSE round(d.frozen * %(protected_limit)s::numeric / d.deposits, 2)
        END AS frozen_of_protected
    FROM depositors AS d
    WHERE d.deposits > 0
)
SELECT
    (SELECT count(*) FROM accounts.accounts AS a WHERE NOT a.is_internal AND a.jurisdiction = 'NZ' AND a.currency = 'NZD' AND a.balance > 0) AS accounts,
    count(*) AS depositors,
    count(*) FILTER (WHERE c.deposits > %(protected_limit)s::numeric) AS depositors_over_limit,
    coalesce(sum(c.deposits), 0) AS deposits,
    coalesce(sum(c.protected), 0) AS protected,
    coalesce(sum(c.deposits - c.protected), 0) AS unprotected,
    coalesce(sum(c.frozen), 0) AS frozen,
    coalesce(sum(c.frozen_of_protected), 0) AS frozen_of_protected,
    coalesce(sum(c.frozen - c.frozen_of_protected), 0) AS frozen_of_unprotected
FROM covered AS c

-- candidates --
-- One customer's account of each kind that there is, and what it may spend: nobody in particular.
WITH customers AS (
    SELECT
        a.account_id,
        a.currency::text AS currency,
        a.balance,
        a.overdraft_limit::numeric AS overdraft,
        a.available_balance < a.balance AS held,
        a.status = 'ACTIVE' AND a.restriction_reason IS NULL AS unrestricted,
        a.restriction_reason::text AS restriction,
        a.allows_credit,
        a.obr_frozen_amount AS frozen,
        least(a.obr_available_amount, a.available_balance + a.overdraft_limit) AS spendable
    FROM accounts.accounts AS a
    WHERE NOT a.is_internal AND a.status IN ('ACTIVE', 'RESTRICTED')
)
(
    SELECT 'plain' AS kind, c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.unrestricted AND c.frozen > 0 AND NOT c.held AND c.overdraft = 0 AND c.currency = 'NZD'
    ORDER BY c.spendable > 1 DESC
    LIMIT 1
)
UNION ALL (
    SELECT 'overseas', c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.unrestricted AND c.frozen > 0 AND NOT c.held AND c.overdraft = 0 AND c.currency <> 'NZD' LIMIT 1
)
UNION ALL (
    SELECT 'joint', c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.unrestricted AND c.frozen > 0 AND NOT c.held AND c.overdraft = 0
        AND EXISTS (
            SELECT FROM accounts.account_party_relationships AS r
            WHERE r.account_id = c.account_id AND r.role = 'HOLDER' AND r.balance_share_pct < 100
                AND (r.valid_to IS NULL OR r.valid_to > now())
        )
    LIMIT 1
)
UNION ALL (
    SELECT 'held', c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.unrestricted AND c.frozen > 0 AND c.held AND c.spendable > 0 AND c.overdraft = 0 LIMIT 1
)
UNION ALL (
    SELECT 'overdraft', c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.unrestricted AND c.balance > 0 AND NOT c.held AND c.overdraft > 0 LIMIT 1
)
UNION ALL (
    SELECT 'overdrawn', c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.unrestricted AND c.balance < 0 AND c.balance + c.overdraft > 0 AND NOT c.held LIMIT 1
)
UNION ALL (
    SELECT 'notice', c.account_id, c.currency, c.spendable FROM customers AS c
    WHERE c.restriction = 'NOTICE_PENDING' AND c.spendable > 0 AND NOT c.held LIMIT 1
)

-- record --
SELECT core.obr_record_drill(
    %(drill_id)s, %(outcome)s, %(started_at)s, %(ended_at)s, %(haircut)s, %(de_minimis)s, %(equal_shares)s, %(accounts)s,
    %(report_sha256)s, %(report_key_id)s, %(actor)s, %(trace_id)s
) AS recorded_at

-- last --
SELECT d.drill_id, d.outcome, d.started_at, d.ended_at, d.haircut_pct, encode(d.report_sha256, 'hex') AS report_sha256, d.recorded_at
FROM core.obr_drills AS d
ORDER BY d.recorded_at DESC
LIMIT 1

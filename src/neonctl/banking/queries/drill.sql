-- figures --
-- What an activation and its unwind must leave as they were, of the customers and of the bank: sums to read, and one
-- number that any changed account changes. Versions and times move with every update. Each hash is the seed of
-- the next: a record's hash is a sum of those of its columns, in which two accounts could exchange a value unseen. A number's
-- leaves out its sign, so that stands beside it.
SELECT
    a.currency::text AS currency,
    a.is_internal,
    count(*) AS accounts,
    coalesce(sum(a.balance), 0) AS balance,
    coalesce(sum(a.available_balance), 0) AS available_balance,
    coalesce(sum(uuid_hash_extended(a.account_id, hash_numeric_extended(a.balance, hash_numeric_extended(a.available_balance,
        hash_numeric_extended(a.overdraft_limit, hashtextextended(concat_ws(' ', a.status, coalesce(a.restriction_reason, '-'),
            a.is_internal, a.allows_debit, a.allows_credit, a.balance < 0, a.available_balance < 0), 0))))
    )::numeric), 0) AS digest
FROM accounts.accounts AS a
GROUP BY 1, 2
ORDER BY 1, 2

-- sums --
-- Joint accounts are not sought among those in the partition: the planner's statistics are older than the activation, and
-- say that there are none.
WITH joint AS (
    SELECT a.currency, count(*) AS accounts
    FROM (
        SELECT r.account_id
        FROM accounts.account_party_relationships AS r
        WHERE r.role = 'HOLDER' AND r.balance_share_pct < 100 AND (r.valid_to IS NULL OR r.valid_to > now())
        GROUP BY r.account_id
        HAVING count(*) > 1
    ) AS several
    JOIN accounts.accounts AS a ON a.account_id = several.account_id
    JOIN core.obr_resolution_state AS s ON s.jurisdiction = a.jurisdiction
    WHERE NOT a.is_internal
    GROUP BY a.currency
), split AS (
    SELECT
        a.currency,
        count(*) AS accounts,
        count(*) FILTER (WHERE a.balance <= 0) AS not_positive,
        coalesce(sum(a.balance), 0) AS balance,
        coalesce(sum(a.obr_frozen_amount), 0) AS frozen,
        coalesce(sum(a.obr_available_amount), 0) AS available
    FROM accounts.accounts AS a
    WHERE a.obr_partitioned
    GROUP BY a.currency
)
SELECT
    s.currency::text AS currency, s.accounts, coalesce(j.accounts, 0) AS joint, s.not_positive, s.balance, s.frozen, s.available
FROM split AS s
LEFT JOIN joint AS j ON j.currency = s.currency
ORDER BY s.currency

-- depositors --
-- Depositor Compensation Scheme (Deposit Takers Act 2023 ss 203-205): per depositor, NZD accounts in credit only, the
-- lesser of what is deposited and the limit. A depositor's parts are those of the activation's evidence, at the instant
-- at which balances were struck; an account without a holder counts as one depositor's. What is frozen of a depositor
-- falls on protected and other money in the proportion of both.
WITH depositors AS (
    SELECT
        coalesce(h.party_id, h.account_id) AS party_id,
        sum(h.balance_at) AS deposits,
        sum(h.frozen_amount) AS frozen
    FROM core.obr_resolution_state AS s
    JOIN core.obr_holder_partitions AS h ON h.event_id = s.activation_event_id
    JOIN accounts.accounts AS a ON a.account_id = h.account_id
    WHERE a.currency = 'NZD' AND h.balance_at > 0
    GROUP BY 1
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
)
SELECT
    %(protected_limit)s::numeric AS protected_limit,
    (SELECT CASE WHEN s.equal_shares THEN 'equal' ELSE 'recorded' END FROM core.obr_resolution_state AS s) AS shares,
    (
        SELECT count(*)
        FROM core.obr_resolution_state AS s
        JOIN core.obr_account_partitions AS p ON p.event_id = s.activation_event_id
        WHERE p.currency = 'NZD' AND p.balance_at > 0
    ) AS accounts,
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
        a.obr_frozen_amount AS frozen,
        greatest(a.available_balance - a.obr_frozen_amount, 0) AS spendable -- holds count against it
    FROM accounts.accounts AS a
    WHERE a.obr_partitioned AND a.status IN ('ACTIVE', 'RESTRICTED')
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

-- guards --
-- What stands between a posting and frozen money, and between anybody and the record: on, whatever a session says.
SELECT w.guard, coalesce(t.tgenabled = 'A' AND t.tgfoid = to_regproc(w.function), false) AS stands
FROM (
    VALUES
    ('accounts.postings', 'trg_00_postings_obr_channel_gate', 'core.fn_posting_obr_channel_gate'),
    ('accounts.accounts', 'trg_accounts_obr_frozen', 'accounts.keep_obr_frozen'),
    ('accounts.accounts', 'trg_accounts_money', 'core.refuse_direct_write'),
    ('accounts.accounts', 'trg_accounts_birth_in_resolution', 'accounts.account_birth_in_resolution'),
    ('core.obr_resolution_state', 'trg_obr_resolution_state_guard', 'core.guard_obr_state'),
    ('core.obr_resolution_state', 'trg_obr_resolution_state_kept', 'core.refuse_change'),
    ('core.obr_partition_events', 'trg_obr_partition_events_applied', 'core.apply_obr_event'),
    ('core.obr_partition_events', 'trg_obr_partition_events_linked', 'core.link_obr_record'),
    ('core.obr_partition_events', 'trg_obr_partition_events_no_update', 'core.refuse_change'),
    ('core.obr_partition_events', 'trg_obr_partition_events_no_delete', 'core.refuse_change'),
    ('core.obr_partition_events', 'trg_obr_partition_events_no_truncate', 'core.refuse_change')
) AS w (relation, guard, function)
LEFT JOIN pg_trigger AS t ON t.tgrelid = to_regclass(w.relation) AND t.tgname = w.guard

-- split --
-- Every account while activated, against the balance and against who belongs there.
WITH looked AS (
    SELECT
        a.account_id,
        a.obr_partitioned <> (NOT a.is_internal AND a.jurisdiction = s.jurisdiction) AS misplaced,
        a.obr_partitioned AND a.obr_frozen_amount + a.obr_available_amount <> greatest(a.balance, 0) AS unequal,
        NOT a.obr_partitioned AND (a.obr_frozen_amount <> 0 OR a.obr_available_amount <> 0) AS stray
    FROM accounts.accounts AS a
    CROSS JOIN core.obr_resolution_state AS s
), counted AS (
    SELECT
        count(*) AS looked_at,
        count(*) FILTER (WHERE l.misplaced OR l.stray) AS misplaced,
        (array_agg(l.account_id) FILTER (WHERE l.misplaced OR l.stray))[1:10] AS misplaced_ids,
        count(*) FILTER (WHERE l.unequal) AS unequal,
        (array_agg(l.account_id) FILTER (WHERE l.unequal))[1:10] AS unequal_ids
    FROM looked AS l
)
SELECT v.name, c.looked_at, v.wrong, coalesce(v.accounts, '{}') AS accounts
FROM counted AS c
CROSS JOIN LATERAL (VALUES ('population', c.misplaced, c.misplaced_ids), ('sums', c.unequal, c.unequal_ids)) AS v (name, wrong, accounts)

-- evidence --
-- The evidence of the last split against the live columns, both ways round.
SELECT
    'evidence' AS name,
    count(*) AS looked_at,
    count(*) FILTER (WHERE w.wrong) AS wrong,
    coalesce((array_agg(w.account_id) FILTER (WHERE w.wrong))[1:10], '{}') AS accounts
FROM (
    SELECT
        coalesce(a.account_id, p.account_id) AS account_id,
        (p.balance_at, p.frozen_amount, p.available_amount)
            IS DISTINCT FROM (a.balance, a.obr_frozen_amount::numeric, a.obr_available_amount::numeric) AS wrong
    FROM (SELECT x.* FROM accounts.accounts AS x WHERE x.obr_partitioned) AS a
    FULL JOIN (
        SELECT e.*
        FROM core.obr_account_partitions AS e
        WHERE e.event_id = (SELECT s.partition_event_id FROM core.obr_resolution_state AS s)
    ) AS p ON p.account_id = a.account_id
) AS w

-- holders --
-- Each holder's part worked out again, from the balance, the share and what was instructed, and the parts against the
-- account. Joint parts are rounded down but for the last holder's, so each is a cent or less from its share, the last one
-- as many as there are others.
WITH s AS (
    SELECT x.* FROM core.obr_resolution_state AS x
), closed AS (
    SELECT a.account_id
    FROM core.products AS p
    JOIN accounts.accounts AS a ON a.product_code = p.product_code
    WHERE NOT p.obr_prepositioned
), parts AS (
    SELECT
        h.account_id,
        h.share_pct,
        h.balance_at,
        h.frozen_amount,
        h.available_amount,
        h.frozen_amount = CASE
            WHEN c.account_id IS NOT NULL THEN greatest(h.balance_at, 0)
            ELSE trunc(greatest(h.balance_at - s.de_minimis_amount, 0) * s.haircut_pct, 2)
        END AS cut,
        h.frozen_amount + h.available_amount = greatest(h.balance_at, 0) AS whole,
        s.equal_shares,
        e.balance_at AS account_balance,
        e.frozen_amount AS account_frozen,
        e.available_amount AS account_available
    FROM s
    JOIN core.obr_holder_partitions AS h ON h.event_id = s.activation_event_id
    LEFT JOIN core.obr_account_partitions AS e ON e.event_id = s.activation_event_id AND e.account_id = h.account_id
    LEFT JOIN closed AS c ON c.account_id = h.account_id
), judged AS (
    SELECT
        p.account_id,
        p.cut IS NOT TRUE AS haircut,
        p.whole IS NOT TRUE OR (p.balance_at, p.frozen_amount, p.available_amount)
            IS DISTINCT FROM (p.account_balance, p.account_frozen, p.account_available) AS part
    FROM parts AS p
    WHERE p.share_pct = 100
    UNION ALL
    SELECT
        p.account_id,
        bool_and(p.cut) IS NOT TRUE,
        bool_and(p.whole) IS NOT TRUE
        OR (CASE
            WHEN bool_and(p.equal_shares) THEN greatest(max(p.balance_at) - max(p.account_balance) / count(*),
                max(p.account_balance) / count(*) - min(p.balance_at))
            ELSE max(abs(p.balance_at - p.account_balance * p.share_pct / 100))
        END <= 0.01 * count(*)) IS NOT TRUE
        OR (sum(p.balance_at), sum(p.frozen_amount), sum(p.available_amount))
            IS DISTINCT FROM (max(p.account_balance), max(p.account_frozen), max(p.account_available))
    FROM parts AS p
    WHERE p.share_pct <> 100
    GROUP BY p.account_id
), counted AS (
    SELECT
        (SELECT count(*) FROM s JOIN core.obr_account_partitions AS e ON e.event_id = s.activation_event_id) AS looked_at,
        count(*) AS found,
        count(*) FILTER (WHERE j.haircut) AS haircut,
        (array_agg(j.account_id) FILTER (WHERE j.haircut))[1:10] AS haircut_ids,
        count(*) FILTER (WHERE j.part) AS part,
        (array_agg(j.account_id) FILTER (WHERE j.part))[1:10] AS part_ids
    FROM judged AS j
)
SELECT v.name, c.looked_at, v.wrong, coalesce(v.accounts, '{}') AS accounts
FROM counted AS c
CROSS JOIN LATERAL (
    VALUES
    ('haircut', c.haircut, c.haircut_ids),
    ('holders', c.part + abs(c.looked_at - c.found), c.part_ids)
) AS v (name, wrong, accounts)

-- left --
-- What an unwind must have cleared.
SELECT
    'cleared' AS name,
    count(*) AS looked_at,
    count(*) FILTER (WHERE a.obr_partitioned OR a.obr_frozen_amount <> 0 OR a.obr_available_amount <> 0) AS wrong,
    coalesce((array_agg(a.account_id)
        FILTER (WHERE a.obr_partitioned OR a.obr_frozen_amount <> 0 OR a.obr_available_amount <> 0))[1:10], '{}') AS accounts
FROM accounts.accounts AS a

-- moved --
-- Balances now against those that the activation recorded.
SELECT
    'balances' AS name,
    count(*) AS looked_at,
    count(*) FILTER (WHERE a.balance IS DISTINCT FROM p.balance_at) AS wrong,
    coalesce((array_agg(p.account_id) FILTER (WHERE a.balance IS DISTINCT FROM p.balance_at))[1:10], '{}') AS accounts
FROM core.obr_account_partitions AS p
LEFT JOIN accounts.accounts AS a ON a.account_id = p.account_id
WHERE p.event_id = %(event_id)s

-- insert_key --
-- On a copy where officers are registered, whose keys no drill has: as the owner, with the guard lifted for one transaction.
INSERT INTO core.obr_keys (key_id, name, kind, algorithm, public_jwk, valid_from, authority, registered_by, trace_id)
VALUES (%(key_id)s, %(name)s, 'officer', %(algorithm)s, %(jwk)s::jsonb, %(valid_from)s, 'BOOTSTRAP', %(actor)s, %(trace_id)s)
RETURNING key_id

-- lift_guard --
ALTER TABLE core.obr_keys DISABLE TRIGGER trg_obr_keys_officer

-- restore_guard --
ALTER TABLE core.obr_keys ENABLE ALWAYS TRIGGER trg_obr_keys_officer

-- till --
SELECT count(t.account_id) AS n
FROM accounts.open_account('NZD', 'NZ', p_is_internal => true, p_idempotency_key => 'synthetic till') AS t

-- customers --
SELECT count(o.account_id) AS n
FROM generate_series(%(first)s::integer, %(last)s::integer) AS c (number)
CROSS JOIN LATERAL accounts.open_account(
    'NZD', 'NZ', ARRAY[md5('synthetic party ' || c.number)::uuid], p_idempotency_key => 'synthetic account ' || c.number
) AS o

-- salaries --
SELECT count(p.transaction_id) AS n
FROM generate_series(%(first)s::integer, %(last)s::integer) AS c (number)
JOIN accounts.accounts AS a ON a.idempotency_key = 'synthetic account ' || c.number
JOIN accounts.accounts AS t ON t.idempotency_key = 'synthetic till'
CROSS JOIN LATERAL accounts.post_transaction(
    'synthetic salary ' || c.number, ARRAY[t.account_id, a.account_id], ARRAY['DEBIT', 'CREDIT'],
    ARRAY[100 + c.number %% 900, 100 + c.number %% 900]::numeric[]
) AS p

-- holds --
SELECT count(h.hold_id) AS n
FROM generate_series(%(first)s::integer, %(last)s::integer) AS c (number)
JOIN accounts.accounts AS a ON a.idempotency_key = 'synthetic account ' || c.number
CROSS JOIN LATERAL accounts.create_hold(
    a.account_id, (1 + c.number %% 50)::numeric, 'synthetic hold ' || c.number, interval '30 days'
) AS h
WHERE c.number %% 5 = 0

-- counts --
SELECT
    (SELECT count(*) FROM accounts.accounts AS a WHERE a.idempotency_key LIKE 'synthetic account %%') AS accounts,
    (SELECT count(*) FROM accounts.transactions AS t WHERE t.idempotency_key LIKE 'synthetic salary %%') AS transactions,
    (SELECT count(*) FROM accounts.pending_holds AS h WHERE h.idempotency_key LIKE 'synthetic hold %%') AS holds

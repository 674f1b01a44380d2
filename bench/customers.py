"""A bank of any size in a few minutes: customers, their parties and their money, through the ledger's own functions."""

from __future__ import annotations

from typing import LiteralString

import psycopg

_BATCH = 2000
_TILL: LiteralString = (
    "SELECT account_id FROM accounts.open_account(%s, 'NZ', p_is_internal => true, p_idempotency_key => 'bench ' || %s)"
)
_ACCOUNTS: LiteralString = """
INSERT INTO accounts.accounts (account_id, account_number, product_code, currency, jurisdiction, status)
SELECT
    md5('account ' || n)::uuid, 'B-' || lpad(n::text, 9, '0'), 'EVERYDAY',
    CASE WHEN n %% 100 = 7 THEN 'AUD' ELSE 'NZD' END,
    'NZ', 'ACTIVE'
FROM generate_series(1, %(accounts)s::integer) AS n
"""
_HOLDERS: LiteralString = """
INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)
SELECT
    md5('account ' || n)::uuid, md5('party ' || (n - n %% 3))::uuid, 'HOLDER',
    CASE WHEN n %% 20 = 0 THEN 66.6667 ELSE 100 END
FROM generate_series(1, %(accounts)s::integer) AS n
UNION ALL
SELECT md5('account ' || n)::uuid, md5('other ' || n)::uuid, 'HOLDER', 33.3333
FROM generate_series(20, %(accounts)s::integer, 20) AS n
"""
_MONEY: LiteralString = """
SELECT p.transaction_id
FROM (
    SELECT
        array_agg(a.account_id) AS ids,
        array_agg('CREDIT'::text) AS sides,
        array_agg(a.amount) AS amounts,
        sum(a.amount) AS whole
    FROM (
        SELECT md5('account ' || n)::uuid AS account_id, round((n::bigint * 7919 %% 4000000) / 100.0 + 100, 2) AS amount
        FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
        WHERE (n %% 100 = 7) = (%(currency)s = 'AUD')
    ) AS a
) AS batch
CROSS JOIN LATERAL accounts.post_transaction(
    'bench ' || %(currency)s || %(first)s, %(till)s::uuid || batch.ids, 'DEBIT'::text || batch.sides,
    batch.whole || batch.amounts
) AS p
"""


def populate(conn: psycopg.Connection[tuple[object, ...]], accounts: int) -> None:
    """``accounts`` customers' accounts with money, as the owner: every twentieth joint, every hundredth in AUD; three
    in a row mostly have one holder.
    """
    conn.execute("SET statement_timeout = 0")
    conn.execute(_ACCOUNTS, {"accounts": accounts})
    conn.execute(_HOLDERS, {"accounts": accounts})
    for currency in ("NZD", "AUD"):
        row = conn.execute(_TILL, [currency, currency]).fetchone()
        assert row is not None
        for first in range(1, accounts + 1, _BATCH):
            last = min(first + _BATCH - 1, accounts)
            reach = {"first": first, "last": last, "till": row[0], "currency": currency}
            conn.execute(_MONEY, reach)
    conn.execute("VACUUM ANALYZE accounts.accounts")
    conn.execute("VACUUM ANALYZE accounts.account_party_relationships")

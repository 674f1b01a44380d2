"""Each undo gives back what was there before, rows included."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from ledger.conftest import MIGRATIONS, Connection, provisioned
from neonctl.migrations.files import read_migrations
from postgres_server import PostgresServer, running_postgres

_ROWS = """
INSERT INTO accounts.accounts (account_number, product_code, currency, jurisdiction, status, restriction_reason, is_internal)
SELECT '01-000' || n, 'EVERYDAY', 'NZD', 'NZ', CASE WHEN n > 2 THEN 'RESTRICTED' ELSE 'ACTIVE' END,
    CASE WHEN n > 3 THEN 'FROZEN' END, n = 1
FROM generate_series(1, 5) AS n;
INSERT INTO accounts.account_party_relationships (account_id, party_id, role, balance_share_pct)
SELECT account_id, gen_random_uuid(), 'HOLDER', 100 FROM accounts.accounts WHERE NOT is_internal
"""
_CONTENT = """
SELECT coalesce(string_agg(x::text, E'\\n' ORDER BY x::text), '') FROM {} AS x
"""


@pytest.fixture
def empty() -> Generator[tuple[PostgresServer, str]]:
    with running_postgres() as server:
        yield server, provisioned(server, "bank_core")


def _content(conn: Connection) -> dict[str, str]:
    tables = conn.execute(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('accounts', 'core', 'treasury', 'contexts', 'assets')"
    ).fetchall()
    found: dict[str, str] = {}
    for (table,) in tables:
        row = conn.execute(_CONTENT.format(table).encode()).fetchone()
        assert row is not None
        found[str(table)] = str(row[0])
    return found


def test_every_undo_gives_back_every_row(empty: tuple[PostgresServer, str]) -> None:
    server, name = empty
    first, *later = read_migrations(MIGRATIONS)
    with server.connect(name, "bank_core_migrate_user") as conn:
        conn.execute(first.sql.encode())
        conn.execute(_ROWS)
        before = [(_content(conn), server.dump_schema(name, "--restrict-key=x"))]
        for file in later:
            conn.execute(file.sql.encode())
            before.append((_content(conn), server.dump_schema(name, "--restrict-key=x")))
        allowed = conn.execute(
            "SELECT account_number, allows_debit, allows_credit FROM accounts.accounts ORDER BY 1"
        ).fetchall()
        assert [row[1:] for row in allowed] == [(True, True)] * 2 + [(False, True)] + [(False, False)] * 2
        for file, was in zip(reversed(later), reversed(before[:-1]), strict=True):
            conn.execute(file.undo.sql.encode())
            assert _content(conn) == was[0], file.version
            assert server.dump_schema(name, "--restrict-key=x").splitlines() == was[1].splitlines(), file.version

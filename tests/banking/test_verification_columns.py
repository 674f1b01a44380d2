"""Every column of what the ledger keeps, altered by a superuser with every trigger off: what no verification sees is listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from bank_database import Bank, Connection, open_customer, open_internal
from neonctl.banking.accounts import set_status
from neonctl.banking.holds import create_hold, release_hold
from neonctl.banking.posting import post, reverse, transfer
from neonctl.banking.seals import seal_ledger
from neonctl.banking.statement import Trace
from neonctl.banking.verification import verify_ledger

TABLES = (
    "accounts.accounts",
    "accounts.account_party_relationships",
    "accounts.status_changes",
    "accounts.transactions",
    "accounts.postings",
    "accounts.reversals",
    "accounts.pending_holds",
    "accounts.daily_balance_snapshots",
    "core.transaction_log",
    "core.hold_log",
    "core.log_seals",
    "core.log_seal_entries",
    "core.log_seal_records",
    "core.eod_runs",
    "core.audit_log",
)
#: What stands in no chain, no seal and nowhere else. docs/concepts/ledger.md says so.
NOT_PROVEN = {
    "accounts.accounts.updated_at",
    "accounts.accounts.held_jointly",  # an activation looks at the holders themselves
    "accounts.accounts.obr_partitioned",  # `obr reconcile` and `obr events --verify` look at these
    "accounts.accounts.obr_frozen_amount",
    "accounts.accounts.obr_available_amount",
    "accounts.account_party_relationships.party_id",
    "accounts.account_party_relationships.valid_from",
    "accounts.pending_holds.trace_id",
    "accounts.pending_holds.correlation_id",
    "core.log_seals.actor",
    "core.log_seals.trace_id",
    "core.eod_runs.taken_at",
    "core.eod_runs.actor",
    "core.eod_runs.trace_id",
}
_OTHERS = {
    "NZD": "AUD",
    "NZ": "AU",
    "DEBIT": "CREDIT",
    "CREDIT": "DEBIT",
    "ACTIVE": "DORMANT",
    "RESTRICTED": "DORMANT",
    "CREATED": "RELEASED",
    "RELEASED": "CREATED",
}
_INSTEAD_OF_NOTHING = {
    "text": "X",
    "uuid": UUID(int=1),
    "timestamptz": datetime.fromisoformat("2020-01-01T00:00:00Z"),
    "_uuid": [UUID(int=1)],
    "bytea": bytes(32),
}


def _forged(kind: str, value: object) -> object:
    """Another value of the type, as close as can be."""
    match value:
        case None:
            return _INSTEAD_OF_NOTHING[kind]
        case bool():
            return not value
        case str() if kind == "xid8":
            return str(int(value) + 1)
        case str():
            return _OTHERS.get(value, value + "X")
        case UUID():
            return uuid4()
        case int():
            return value + 1
        case Decimal():
            return value + Decimal("0.01")
        case datetime():
            return value + timedelta(microseconds=1)
        case date():
            return value + timedelta(days=1)
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case dict():
            return Jsonb({"NZD": {}})
        case list():
            return value[1:]
        case _:
            raise TypeError(type(value))


@pytest.fixture
def books(bank: Bank) -> Bank:
    """Something of everything: spread accounts, restrictions, reversals, holds, a day's end, two seals."""
    app, trace = bank.connect("app_user"), Trace("anna", "t1", "c1")
    cash, hot = open_internal(app), open_internal(app)
    app.execute("SELECT accounts.spread_account(%s, 2)", [hot])
    a, b = (open_customer(app, money="100.00", source=cash, parties=[uuid4(), uuid4()]) for _ in range(2))

    def business(day: str) -> None:
        posted = [
            post(app, transfer(a, to, Decimal(1)), idempotency_key=f"{day}{n}", description="d", trace=trace)
            for n, to in enumerate((b, hot, b, hot))
        ]
        reverse(app, posted[2].transaction_id, idempotency_key=f"{day}r")
        holds = [
            create_hold(app, a, Decimal(n), idempotency_key=f"{day}h{n}", payment_id="pay", trace=trace) for n in (1, 2)
        ]
        release_hold(app, holds[1].hold_id, "DONE", trace=trace)
        set_status(app, b, "RESTRICTED", restriction_reason="CREDIT_BLOCK", trace=trace)
        set_status(app, b, "ACTIVE", trace=trace)

    business("x")
    end = app.execute("SELECT clock_timestamp(), (clock_timestamp() AT TIME ZONE 'Pacific/Auckland')::date").fetchone()
    assert end is not None
    bank.connect("migrate_user").execute(
        "UPDATE core.jurisdictions SET eod_local = (%s AT TIME ZONE time_zone)::time", [end[0]]
    )
    seal_ledger(app, trace=trace)
    business("y")
    app.execute("SELECT accounts.take_snapshot('NZ', %s, '1 second', 'anna', 't1')", [end[1]])
    app.execute("SELECT core.record_audit('a.test', 'dev/bank_core', 'done', 'anna', 't1', 'c1', '{\"a\": 1}')")
    seal_ledger(app, trace=trace)
    return bank


def _found(bank: Bank) -> list[str]:
    @contextmanager
    def door() -> Iterator[Connection]:
        with bank.server.connect(bank.name) as conn:
            yield conn

    faults = verify_ledger(door, jobs=1).faults
    return [fault.message for fault in faults if fault.row != "guard"]


def test_no_column_is_altered_unseen(books: Bank) -> None:
    assert _found(books) == []
    superuser = books.connect("superuser")
    for table in TABLES:
        superuser.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(sql.Identifier(*table.split("."))))
    unseen: set[str] = set()
    for table in TABLES:
        name = sql.Identifier(*table.split("."))
        described = superuser.execute(
            "SELECT a.attname, b.typname, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary"
            " AND a.attnum = ANY(i.indkey)) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b"
            " ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END"
            " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            [table],
        ).fetchall()
        keys = [column for column, _, primary in described if primary]
        chosen = sql.SQL(", ").join(map(sql.Identifier, keys))
        rows = superuser.execute(sql.SQL("SELECT {k} FROM {t} ORDER BY {k}").format(k=chosen, t=name)).fetchall()
        row = rows[len(rows) // 2]
        for column, kind, _ in described:
            where = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(key)) for key in keys)
            old = superuser.execute(
                sql.SQL("SELECT {} FROM {} WHERE {}").format(sql.Identifier(column), name, where), row
            ).fetchone()
            assert old is not None
            forged = _forged(kind, old[0])
            change = sql.SQL("UPDATE {} SET {} = %s WHERE {}").format(name, sql.Identifier(column), where)
            try:
                superuser.execute(change, [forged, *row])
            except psycopg.errors.IntegrityError:
                continue  # the table itself does not take it
            if not _found(books):
                unseen.add(f"{table}.{column}")
            moved = [forged if key == column else value for key, value in zip(keys, row, strict=True)]
            superuser.execute(change, [Jsonb(old[0]) if isinstance(old[0], dict) else old[0], *moved])
    assert _found(books) == [], "everything is as it was"
    assert unseen == NOT_PROVEN

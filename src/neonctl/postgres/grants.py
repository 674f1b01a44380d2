"""Privileges: give and take back any set of ``plan.observed.Grant``, with as few statements as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Set

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.errors import ServiceError
from neonctl.plan.observed import Grant
from neonctl.postgres.batch import run, transaction
from neonctl.postgres.grant_sql import grant_statements, revoke_option_statements, revoke_statements
from neonctl.postgres.inspect import read_database
from neonctl.postgres.names import split_column

Key = tuple[str, str, str, str]


def apply_grants(conn: psycopg.Connection[TupleRow], grants: Iterable[Grant]) -> None:
    """Give privileges, in one round trip. What is held already stays."""
    change_grants(conn, grant=grants)


def revoke_grants(conn: psycopg.Connection[TupleRow], grants: Iterable[Grant]) -> None:
    """Take privileges back, grant option and all. See ``change_grants``."""
    change_grants(conn, revoke=grants)


def change_grants(
    conn: psycopg.Connection[TupleRow], *, grant: Iterable[Grant] = (), revoke: Iterable[Grant] = ()
) -> None:
    """Take ``revoke`` back and give ``grant``; nothing else changes. One transaction.

    A privilege in both, with the grant option to be taken and the bare privilege to be given, loses its grant option
    only. PostgreSQL takes more than it is asked to: what was granted by a lost option, and column privileges along
    with the table's. The owner gives that back. It also takes less: what others granted by an option of theirs
    stays; it goes by renewing that option. Raises what ``translate`` makes of a failure, POSTGRES_REFUSED if a
    privilege survives all that, because its object is not ours.
    """
    given, taken = _settle(frozenset(grant), frozenset(revoke))
    doing = f"changing privileges in {conn.info.dbname}"
    if not taken:
        run(conn, grant_statements(given), doing=doing)
        return
    with transaction(conn, doing):
        before = read_database(conn).grants
        lowered = frozenset(each for each in taken if _bare(each) in given)
        lost, touched = {_key(each) for each in taken}, {_place(each) for each in taken}
        kept = frozenset(each for each in before if _place(each) in touched and _key(each) not in lost)
        first = [*revoke_option_statements(lowered), *revoke_statements(taken - lowered)]
        run(conn, [*first, *grant_statements(given)], doing=doing)
        now = read_database(conn).grants
        survivors = _survivors(now, taken, lowered)
        if not survivors and kept <= now:
            return
        second = _cut_off(_options_behind(before | now, survivors))
        run(conn, [*second, *grant_statements(given | kept)], doing=doing)
        if survivors:
            _refuse_what_is_left(_survivors(read_database(conn).grants, taken, lowered), doing)


def _refuse_what_is_left(left: frozenset[Grant], doing: str) -> None:
    if not left:
        return
    example = min(left)
    raise ServiceError(
        "POSTGRES_REFUSED",
        f"{doing}: {example.grantee} keeps {example.privilege} on {example.kind} {example.object}, not ours to revoke",
        hint="let whoever granted it revoke it, or give the object to the migrate_user role",
        details={"count": len(left)},
    )


def _settle(given: Set[Grant], taken: Set[Grant]) -> tuple[frozenset[Grant], frozenset[Grant]]:
    """Without contradictions: the stronger form of what is given twice, nothing taken that is given as strong."""
    strong = {_key(each) for each in given if each.grantable}
    settled = frozenset(each for each in given if each.grantable or _key(each) not in strong)
    weak = {_key(each) for each in settled if not each.grantable}
    lost = (each for each in taken if _key(each) not in strong and (each.grantable or _key(each) not in weak))
    return settled, frozenset(lost)


def _survivors(now: Set[Grant], taken: Set[Grant], lowered: Set[Grant]) -> frozenset[Grant]:
    """What of ``taken`` is still there; of ``lowered`` only the grant option had to go."""
    whole = {_key(each) for each in taken - lowered}
    return frozenset(each for each in now if _key(each) in whole or each in lowered)


def _options_behind(known: Set[Grant], survivors: Set[Grant]) -> frozenset[Grant]:
    """The grant options by which somebody else may have granted ``survivors``, told for the very object.

    An option on a table is good for granting its columns.
    """
    found: set[Grant] = set()
    options = [each for each in known if each.grantable]
    for lost in survivors:
        table = split_column(lost.object)[0] if lost.kind == "column" else ""
        found |= {
            lost._replace(grantee=each.grantee, grantable=True)
            for each in options
            if each.privilege == lost.privilege
            and (each.kind, each.object) in ((lost.kind, lost.object), ("table", table))
        }
    return frozenset(found)


def _cut_off(options: frozenset[Grant]) -> list[sql.Composed]:
    """Take the options away with everything granted by them. A column's privilege that was granted by an option on
    the table hangs on nothing in the column's own acl, so the option is given there first: then it can be taken.
    """
    columns = frozenset(each for each in options if each.kind == "column")
    return [
        *grant_statements(columns),
        *revoke_statements(columns),
        *revoke_option_statements(options - columns),
    ]


def _key(grant: Grant) -> Key:
    return grant.kind, grant.object, grant.grantee, grant.privilege


def _place(grant: Grant) -> tuple[str, str]:
    """The object, for a column its table: their privileges come and go together."""
    return ("table", split_column(grant.object)[0]) if grant.kind == "column" else (grant.kind, grant.object)


def _bare(grant: Grant) -> Grant:
    return Grant(*_key(grant))

"""The live catalogue against the one recorded after the last migration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from neonctl.migrations.catalogue import Catalogue, Difference, differences, read_catalogue
from neonctl.migrations.evidence import last_listing

if TYPE_CHECKING:
    import psycopg


_IN_SCHEMA = re.compile(r'(?:[a-z-]+ )+("(?:[^"]|"")*"|[^\s".()]+)\.')  # KIND schema.name, the kind in several words


_PARTITION = re.compile(r"(table .+): partition of = ")


def drifted(connection: psycopg.Connection[Any], database: str) -> tuple[Difference, ...]:
    """How the live catalogue differs from the one on record; ``()`` if none was recorded.

    A new partition of a table that is on record is no drift: a database makes its next month by itself.
    """
    recorded = last_listing(connection)
    if recorded is None:
        return ()
    live = read_catalogue(connection)
    found = differences(Catalogue(recorded), live)
    partitions = _partitions(live) - _partitions(Catalogue(recorded))
    foreign = {each.object.removeprefix("schema ") for each in found if each.before is None and _is_schema(each)}
    return tuple(
        each
        for each in found
        if not is_provisioned(each, database)
        and not (each.before is None and each.object in partitions)
        and _schema_of(each) not in foreign
        and not (_is_schema(each) and each.object.removeprefix("schema ") in foreign)
    )


def _partitions(catalogue: Catalogue) -> set[str]:
    """The objects, ``table accounts.balances_2026_01``, that are partitions."""
    found = (_PARTITION.match(line) for line in catalogue.lines)
    return {line[1] for line in found if line}


def _is_schema(difference: Difference) -> bool:
    return difference.object.startswith("schema ")


def _schema_of(difference: Difference) -> str:
    """The schema in the object's name, which comes after the kind; a schema somebody made is ``plan``'s to report."""
    name = _IN_SCHEMA.match(difference.object)
    return name[1] if name else ""


def is_provisioned(difference: Difference, database: str) -> bool:
    """Whether provisioning makes this, after migrations: rights, settings, the CDC publication, the database itself.

    They are left to ``plan``, which knows who may hold what.
    """
    return difference.property.startswith("grant") or difference.object.startswith(
        (f"publication {database}_cdc", "default privileges ", "this database", "settings")
    )

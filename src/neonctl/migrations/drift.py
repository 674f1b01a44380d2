"""The live catalogue against the one recorded after the last migration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from psycopg import sql

from neonctl.migrations.catalogue import Catalogue, Difference, differences, read_catalogue
from neonctl.migrations.evidence import last_listing
from neonctl.postgres.batch import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString

    import psycopg


_OVERTAKEN: LiteralString = """\
SELECT (SELECT max(h.installed_rank) FROM public.flyway_schema_history AS h) > (
    SELECT max(greatest(  -- a repair's new row is in what came after
        (e.details ->> 'installed_rank')::integer, (e.details -> 'after' ->> 'installed_rank')::integer))
    FROM public.neonctl_evidence AS e)"""
_IN_SCHEMA = re.compile(r'(?:[a-z-]+ )+("(?:[^"]|"")*"|[^\s".()]+)\.')  # KIND schema.name, the kind in several words


def drifted(connection: psycopg.Connection[Any], database: str) -> tuple[Difference, ...]:
    """How the live catalogue differs from the one on record; ``()`` if none was recorded.

    ``()`` too while another tool's migrations are the newest in Flyway's record: what they made is nobody's drift, and
    the listing that was recorded before them says nothing of it. Raises ``ServiceError`` when the records cannot be
    read or the connection is gone.
    """
    recorded = last_listing(connection)
    if recorded is None or _is_overtaken(connection):
        return ()
    live = read_catalogue(connection)
    found = differences(Catalogue(recorded), live)
    foreign = {each.object.removeprefix("schema ") for each in found if each.before is None and _is_schema(each)}
    return tuple(
        each
        for each in found
        if not is_provisioned(each, database)
        and not _is_new_partition(each, recorded, live.lines)
        and _schema_of(each) not in foreign
        and not (_is_schema(each) and each.object.removeprefix("schema ") in foreign)
    )


def _is_overtaken(connection: psycopg.Connection[Any]) -> bool:
    doing = f"comparing Flyway's record of {connection.info.dbname} with the evidence"
    return fetch(connection, sql.SQL(_OVERTAKEN), doing=doing) == [(True,)]


def _is_new_partition(difference: Difference, recorded: Sequence[str], live: Sequence[str]) -> bool:
    """A partition that the database made for itself as time went on, of a table that a migration partitioned."""
    if difference.property or difference.before is not None:
        return False
    mark = f"{difference.object}: partition of = "
    parents = [f"table {line.removeprefix(mark)}: " for line in live if line.startswith(mark)]
    return bool(parents) and any(line.startswith(parents[0] + "partitioned by = ") for line in recorded)


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

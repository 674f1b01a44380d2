"""The bank's data: money, accounts, the ledger, holds, snapshots, events. Thin over SQL (``queries/*.sql``).

Every function takes a psycopg connection first and gives frozen dataclasses, ``Decimal`` and times in UTC. Writes are
single statements: on a connection in autocommit each is a transaction of its own, inside one they join it.
"""

from __future__ import annotations

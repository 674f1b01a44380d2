"""The gate, tried from outside: postings and holds as the application sends them, on an activated copy.

Each is taken back at once, but for one pair that is committed: a credit, and the spending of it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from neonctl.banking.accounts import NewAccount, open_account
from neonctl.banking.drills.report import Probe
from neonctl.banking.holds import create_hold
from neonctl.banking.posting import post, transfer
from neonctl.banking.statement import rows
from neonctl.errors import NeonctlError, RetryableError, ServiceError

Connection = psycopg.Connection[TupleRow]

FROZEN: Final = "OBR_FROZEN_BALANCE"
POSTED: Final = "posted"
_CENT: Final = Decimal("0.01")
_CREDIT: Final = Decimal("10.00")
_ABSENT: Final = "no such account"

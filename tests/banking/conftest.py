"""Banks with a resolution behind them, or under way."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from bank_database import Bank
from recorded_bank import begin, go_through


@pytest.fixture
def history(bank: Bank) -> Bank:
    """A bank that went through everything once."""
    go_through(bank)
    return bank


@pytest.fixture
def under_way(bank: Bank) -> Bank:
    """Activated, a tranche released; one joint account, one that is frozen by half."""
    begin(bank)
    return bank


@pytest.fixture
def door(bank: Bank):
    """What verifying gets its sessions from."""

    @contextmanager
    def opened():
        yield bank.connect("readonly")

    return opened

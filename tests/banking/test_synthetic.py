"""Synthetic data obeys the ledger's rules, is the same each time, and stays away from production."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from neonctl.banking.synthetic import Synthetic, write_synthetic_data
from neonctl.banking.verification import verify_ledger
from neonctl.desired.load import load
from neonctl.errors import UnsafePlanError

CONFIG = Path(__file__).parent.parent.parent / "config"
FIGURES = (
    "SELECT r.party_id, a.balance, a.available_balance FROM accounts.accounts AS a"
    " JOIN accounts.account_party_relationships AS r USING (account_id) ORDER BY r.party_id"
)


@pytest.fixture(scope="module")
def environments():
    return load(CONFIG).environments


def test_it_is_the_same_each_time_and_grows(bank, environments, door):
    app = bank.connect("app_user")
    assert write_synthetic_data(app, environments["dev"], accounts=25) == Synthetic(25, 25, 5)
    figures = app.execute(FIGURES).fetchall()
    assert write_synthetic_data(app, environments["dev"], accounts=25) == Synthetic(25, 25, 5)
    assert app.execute(FIGURES).fetchall() == figures
    assert write_synthetic_data(app, environments["dev"], accounts=30) == Synthetic(30, 30, 6)
    assert set(figures) < set(app.execute(FIGURES).fetchall())
    assert {balance for _, balance, _ in figures} == {Decimal(100 + number) for number in range(1, 26)}

    assert verify_ledger(door).intact


def test_it_is_refused_where_production_lives(bank, environments):
    app = bank.connect("app_user")
    with pytest.raises(UnsafePlanError) as caught:
        write_synthetic_data(app, environments["prod"], accounts=1)
    assert caught.value.code == "SYNTHETIC_DATA_REFUSED"
    assert app.execute("SELECT count(*) FROM accounts.accounts").fetchone() == (0,)

"""Synthetic data obeys the ledger's rules, and running it again changes nothing."""

from __future__ import annotations

from ledger.conftest import MIGRATIONS, Bank
from ledger.proof import problems

_FIXTURE = MIGRATIONS.parent / "fixtures" / "V005.sql"
_COUNTS = (
    "SELECT (SELECT count(*) FROM accounts.accounts), (SELECT count(*) FROM accounts.postings),"
    " (SELECT count(*) FROM accounts.pending_holds)"
)


def test_the_fixture_is_a_valid_ledger_and_can_run_again(bank: Bank) -> None:
    owner = bank.connect("migrate_user")
    owner.execute("SET neonctl.fixture_accounts = '25'")
    for _ in range(2):
        owner.execute(_FIXTURE.read_bytes())
        assert owner.execute(_COUNTS).fetchone() == (26, 50, 5)
    assert problems(bank) == []

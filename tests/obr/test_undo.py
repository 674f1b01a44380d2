"""The resolution's migrations are taken back and done again in a bank that has been through one."""

from __future__ import annotations

from ledger.conftest import MIGRATIONS
from neonctl.migrations.files import read_migrations
from obr.conftest import Resolution, one

_BALANCES = "SELECT jsonb_object_agg(account_id, balance ORDER BY account_id) AS found FROM accounts.accounts"
_SINCE = 11


def test_a_bank_that_was_resolved_keeps_its_money_through_undo_and_redo(obr: Resolution) -> None:
    anna, ben = obr.customer("100.00"), obr.customer("0.01")
    obr.activate()
    obr.spend(anna, "75.00")
    obr.release("10")
    obr.unwind()
    before = one(obr.app, _BALANCES, [])
    files = [file for file in read_migrations(MIGRATIONS) if file.number >= _SINCE]
    with obr.bank.connect("migrate_user") as owner:
        for file in reversed(files):
            owner.execute(file.undo.sql.encode())
        assert one(owner, _BALANCES, []) == before
        assert one(owner, "SELECT to_regclass('core.obr_resolution_state') AS found", [])["found"] is None
        obr.spend(anna, "25.00")
        obr.pay_in(ben, "5.00")
        for file in files:
            owner.execute(file.sql.encode())
    assert obr.state()["resolution_state"] == "pre_positioned"
    obr.prepare()
    obr.activate()
    assert (obr.split(anna), obr.split(ben)) == (("0.00", "0.00"), ("1.25", "3.76"))

"""The bank's guide, as a reader follows it: its commands in order, its Python, its JSON."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from uuid import UUID

from neonctl.banking.posting import parse_legs

from .conftest import ROOT, follow

GUIDE = ROOT / "docs" / "guides" / "bank.md"


def test_the_guide_works_and_works_again(provisioned):
    folder = provisioned.folder
    known = follow(GUIDE, provisioned.run)
    assert set(known) == {"CASH", "ANNA", "HOLD"}
    assert (folder / "anchor.json").exists()
    balance = provisioned.run("balance", "get", known["ANNA"], "--env", "dev", "-o", "json").json
    assert (balance["balance"], balance["available_balance"]) == ("100.00", "100.00")
    assert follow(GUIDE, provisioned.run) == known, "the same keys, the same answers"


def test_its_python_is_what_it_says(provisioned):
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(compile(block, "guide", "exec"), names)
    with provisioned.superuser("dev", "bank_core") as conn:
        cash, other = (
            conn.execute("SELECT account_id FROM accounts.open_account('NZD', 'NZ', p_is_internal => true)").fetchone()[
                0
            ]
            for _ in range(2)
        )
        transaction, available = names["pay"](conn, cash, other, Decimal("2.50"), f"guide {other}")
    assert isinstance(transaction, UUID)
    assert available == Decimal("2.50")


def test_its_legs_are_legs():
    (block,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    legs = [{**leg, "account_id": "01a1fc82-f7d1-7b72-81d7-84ccb17d5982"} for leg in json.loads(block)]
    assert len(parse_legs(json.dumps(legs))) == 3

"""The resolution weekend, as its guide says: from the key ceremony to the day on which the bank is ready again."""

from __future__ import annotations

import json
import re

from .conftest import ROOT, follow

GUIDE = ROOT / "docs" / "guides" / "resolution-weekend.md"


def test_the_weekend(project):
    (lost,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    balances: list[str] = []

    def run(*arguments):
        seen = ("-o", "json") if arguments[:2] == ("balance", "get") else ()
        result = project.run(*arguments, *seen)
        if seen:
            balances.append(result.json["balance"])
        if "weekend-kiri" in arguments:
            (project.folder / "lost.json").write_text(lost.replace("KIRI", result.json["account_id"]))
        return result

    follow(GUIDE, run)
    assert balances == ["1000.00", "960.00"]
    events = json.loads((project.folder / "weekend.json").read_text())["events"]
    acts = ["OBR_ACTIVATED", "OBR_PARTITION_RECONCILED", "OBR_RELEASED", "OBR_UNWOUND"]
    assert [each["event_type"] for each in events][-4:] == acts
    assert [len(each["instructions"]) for each in events][-4:] == [1, 0, 2, 1]
    assert project.run("obr", "status", "--env", "dev", "-o", "json").json["resolution_state"] == "pre_positioned"

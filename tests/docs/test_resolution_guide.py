"""The resolution weekend, as its guide says: from the key ceremony to the day on which the bank is ready again."""

from __future__ import annotations

import json
import re
import shlex

from .conftest import ROOT, shell

GUIDE = ROOT / "docs" / "guides" / "resolution-weekend.md"
_ASSIGNED = re.compile(r"^(\w+)=\$\((.*?) \| jq -r \.(\w+)\)$")


def test_the_weekend(project):
    known: dict[str, str] = {}
    balances: list[dict] = []
    (lost,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for line in filter(None, shell(GUIDE).splitlines()):
        assigned = _ASSIGNED.match(line)
        text = assigned[2] if assigned else line
        for name, value in known.items():
            text = text.replace(f'"${name}"', value)
        program, *arguments = shlex.split(text)
        assert program == "neonctl", line
        if arguments[:2] == ["balance", "get"]:
            arguments += ["-o", "json"]
        result = project.run(*arguments)
        assert result.code == 0, (line, result.stdout, result.stderr)
        if assigned:
            known[assigned[1]] = result.json[assigned[3]]
            (project.folder / "lost.json").write_text(lost.replace("KIRI", known.get("KIRI", "")))
        elif arguments[:2] == ["balance", "get"]:
            balances.append(result.json)
    assert [each["balance"] for each in balances] == ["1000.00", "960.00"]
    events = json.loads((project.folder / "weekend.json").read_text())["events"]
    acts = ["OBR_ACTIVATED", "OBR_PARTITION_RECONCILED", "OBR_RELEASED", "OBR_UNWOUND"]
    assert [each["event_type"] for each in events][-4:] == acts
    assert [len(each["instructions"]) for each in events][-4:] == [1, 0, 2, 1]
    assert project.run("obr", "status", "--env", "dev", "-o", "json").json["resolution_state"] == "pre_positioned"

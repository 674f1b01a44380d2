"""The guide "write, prove, rehearse, promote, undo" is walked as it stands: its files written, its commands run."""

from __future__ import annotations

import re
import shlex

from neonctl_run import Result

from .conftest import ROOT

_BLOCK = re.compile(r"^```(sh|sql|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"-- (db/\S+)\n")


def test_the_guide_works_from_the_first_line_to_the_last(project):
    text = (ROOT / "docs" / "guides" / "migrations.md").read_text(encoding="utf-8")
    ran: dict[str, Result] = {}
    for kind, block in _BLOCK.findall(text):
        if kind == "sql":
            name = _FILE.match(block)
            assert name is not None, "a file of the guide names itself in its first line"
            assert (project.folder / name[1]).is_file(), "`migrate new` has made it"
            (project.folder / name[1]).write_text(block[name.end() :], encoding="utf-8")
        if kind == "sh":
            for line in block.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "neonctl"
                ran[line] = project.run(*arguments)
                assert ran[line].code == 0, f"{line}\n{ran[line].stdout}\n{ran[line].stderr}"
    out = {" ".join(line.split()[1:3]): result.stdout for line, result in ran.items()}
    assert "1 of 1 databases proven" in out["migrate prove"]
    assert "ACCESS EXCLUSIVE on table payments.payments" in out["migrate rehearse"]
    assert "The chain of evidence is intact." in out["migrate history"]
    assert out["migrate validate"] == "Files, records and databases agree.\n"
    assert out["migrate down"] == "dev/bank_payments: undone 002\n"

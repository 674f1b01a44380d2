"""The guide to previews is walked as it stands: its migration written, its commands run, nothing left at the end."""

from __future__ import annotations

import re
import shlex

from neonctl_run import Result

from .conftest import ROOT

_BLOCK = re.compile(r"^```(sh|sql)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"-- (db/\S+)\n")


def test_the_guide_works_from_the_first_line_to_the_last(project):
    text = (ROOT / "docs" / "guides" / "preview-branches.md").read_text(encoding="utf-8")
    ran: list[tuple[str, Result]] = []
    for kind, block in _BLOCK.findall(text):
        if kind == "sql":
            name = _FILE.match(block)
            assert name is not None, "a file of the guide names itself in its first line"
            assert (project.folder / name[1]).is_file(), "`migrate new` has made it"
            (project.folder / name[1]).write_text(block[name.end() :], encoding="utf-8")
            continue
        for line in block.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "neonctl"
            ran.append((line, project.run(*arguments)))
            assert ran[-1][1].code == 0, f"{line}\n{ran[-1][1].stdout}\n{ran[-1][1].stderr}"
    created = [result.stdout for line, result in ran if "preview create" in line]
    assert [re.findall(r"pr-42 (\w+) from dev", each) for each in created] == [
        ["created"],
        ["refreshed"],
        ["recreated"],
    ]
    assert re.search(r"bank_app +002 +002 ", created[0])
    written = (project.folder / "db/bank_app/privileges.txt").read_text(encoding="utf-8")
    assert "002" in written.splitlines()[0]
    out = {" ".join(line.split()[1:3]): result.stdout.strip() for line, result in ran}
    assert out["preview list"] == "There are no previews."
    assert out["preview prune"] == "There is nothing to prune."

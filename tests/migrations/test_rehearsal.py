"""Whether a recorded rehearsal still counts. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from neonctl.migrations.history import AppliedMigration
from neonctl.migrations.rehearsal import FileRehearsal, Rehearsal, is_fresh, staleness, target_state

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class File:
    script: str
    sha256: str


ONE, TWO, VIEW = File("V001__a.sql", "aa"), File("V002__b.sql", "bb"), File("R__v.sql", "cc")


def rehearsed(*files: File, problems: tuple[str, ...] = (), at: datetime = NOW) -> dict[str, object]:
    traced = tuple(FileRehearsal(each.script, None, each.sha256, 1.0, (), (), (), {}, problems) for each in files)
    return json.loads(json.dumps(Rehearsal("bank", "state", at, None, traced).as_details()))


def test_the_same_files_on_the_same_state_count():
    details = rehearsed(ONE, TWO, VIEW)
    assert is_fresh(details, state="state", files=[ONE, TWO, VIEW], now=NOW, max_age=DAY)
    assert is_fresh(details, state="state", files=[ONE, VIEW], now=NOW, max_age=DAY)
    assert is_fresh(details, state="state", files=[], now=NOW + DAY, max_age=DAY)


@pytest.mark.parametrize(
    ("details", "files", "now", "says"),
    [
        (rehearsed(ONE, problems=("x",)), [ONE], NOW, "did not go well"),
        (rehearsed(ONE) | {"target_state": "other"}, [ONE], NOW, "something was applied"),
        (rehearsed(ONE) | {"rehearsed_at": "yesterday"}, [ONE], NOW, "cannot be read"),
        (rehearsed(ONE) | {"files": None}, [ONE], NOW, "cannot be read"),
        (rehearsed(ONE) | {"files": [{}]}, [ONE], NOW, "cannot be read"),
        ({}, [], NOW, "did not go well"),
        (rehearsed(ONE), [ONE], NOW + DAY + timedelta(seconds=1), "from 2026-11-21 12:00 UTC"),
        (rehearsed(ONE), [ONE], NOW - timedelta(hours=1), "cannot be right"),
        (rehearsed(ONE), [ONE, TWO], NOW, "V002__b.sql was not rehearsed"),
        (rehearsed(ONE, TWO), [TWO, ONE], NOW, "V001__a.sql was not rehearsed"),
        (rehearsed(ONE), [replace(ONE, sha256="ab")], NOW, "V001__a.sql was not rehearsed"),
    ],
)
def test_anything_else_does_not(details, files, now, says):
    assert says in (staleness(details, state="state", files=files, now=now, max_age=DAY) or "")
    assert not is_fresh(details, state="state", files=files, now=now, max_age=DAY)


def test_the_state_is_what_was_applied_not_when_or_by_whom():
    row = AppliedMigration(1, "001", "a", "SQL", "V001__a.sql", 7, "somebody", NOW, 5, success=True)
    state = target_state([row])
    assert target_state([replace(row, installed_on=NOW + DAY, installed_by="else", execution_time_ms=6)]) == state
    second = replace(row, installed_rank=2, version="002")
    assert target_state([second, row]) == target_state([row, second])
    others = [replace(row, checksum=8), replace(row, type="DELETE"), replace(row, success=False)]
    assert len({state, target_state([row, second]), target_state(()), *(target_state([each]) for each in others)}) == 6

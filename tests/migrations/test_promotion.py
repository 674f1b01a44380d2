from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from neonctl.migrations.evidence import Evidence
from neonctl.migrations.files import MigrationFolder, read_folder
from neonctl.migrations.history import AppliedMigration
from neonctl.migrations.promotion import not_promoted, proofs_on_record, unproven

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> MigrationFolder:
    for number in (1, 2):
        (tmp_path / f"V00{number}__a.sql").write_text(f"SELECT {number};")
        (tmp_path / f"U00{number}__a_rollback.sql").write_text(f"SELECT -{number};")
    (tmp_path / "R__views.sql").write_text("SELECT 'views';")
    return read_folder(tmp_path)


def row(rank: int, version: str | None, script: str, checksum: int | None, **other: object) -> AppliedMigration:
    facts = {"description": "a", "type": "SQL", "success": True} | other
    return AppliedMigration(
        installed_rank=rank,
        version=version,
        script=script,
        checksum=checksum,
        installed_by="m",
        installed_on=NOW,
        execution_time_ms=0,
        **facts,  # pyright: ignore[reportArgumentType]
    )


def applied(files: MigrationFolder) -> list[AppliedMigration]:
    rows = [row(file.number, file.version, file.script, file.checksum) for file in files.versioned]
    repeatable = files.repeatable[0]
    return [*rows, row(3, None, repeatable.script, repeatable.checksum, description=repeatable.description)]


def missing(files: MigrationFolder, source: list[AppliedMigration]) -> tuple[str, ...]:
    return not_promoted(files.versioned, files.repeatable, source, environment="dev")


def test_what_the_environment_before_has_may_run(files):
    assert missing(files, applied(files)) == ()


def test_what_it_has_not_may_not(files):
    assert missing(files, []) == (
        "V001__a.sql is not applied on dev",
        "V002__a.sql is not applied on dev",
        "R__views.sql has not run on dev as it is now",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"checksum": 7}, "V002__a.sql is another file than the one applied on dev"),
        ({"success": False}, "V002__a.sql failed on dev"),
    ],
)
def test_what_it_has_otherwise_may_not(files, change, says):
    first, second, third = applied(files)
    changed = row(2, "002", "V002__a.sql", **({"checksum": second.checksum} | change))
    (problem,) = missing(files, [first, changed, third])
    assert problem.startswith(says)


@pytest.mark.parametrize("kind", ["DELETE", "UNDO_SQL"])
def test_what_was_undone_there_may_not(files, kind):
    rows = applied(files)
    undone = row(4, "002", "V002__a.sql", rows[1].checksum, type=kind)
    assert missing(files, [*rows, undone]) == ("V002__a.sql is not applied on dev",)
    again = row(5, "002", "V002__a.sql", rows[1].checksum)
    assert missing(files, [*rows, undone, again]) == ()


def test_a_baseline_stands_for_what_was_before_it(files):
    _, second, third = applied(files)
    baseline = row(1, "1", "<< Flyway Baseline >>", None, type="BASELINE")
    assert missing(files, [baseline, second, third]) == ()
    assert missing(files, [baseline, third]) == ("V002__a.sql is not applied on dev",)


def test_a_repeatable_file_counts_as_it_ran_last(files):
    rows = applied(files)
    older = row(4, None, "R__views.sql", 5, description="views")
    assert missing(files, [*rows, older]) == ("R__views.sql has not run on dev as it is now",)


def entry(number: int, kind: str, up: str, down: str, proof_id: str | None, details: str = '{"ok": true}') -> Evidence:
    return Evidence(
        entry=number,
        kind=kind,
        version="001",
        script="V001__a.sql",
        up_sha256=up,
        down_sha256=down,
        proof_id=proof_id,
        git_commit=None,
        actor="a",
        trace_id="t",
        db_user="m",
        details_json=details,
        listing_sha256=None,
        recorded_at=NOW,
        previous_hash="",
        hash="",
    )


def test_a_proof_is_bound_to_the_bytes_of_both_files(files):
    first, second = files.versioned
    proof = entry(1, "proof", first.sha256, first.undo.sha256, "p1")
    proofs = proofs_on_record([proof])
    assert unproven(files.versioned, proofs) == (second,)
    other_undo = entry(2, "proof", second.sha256, first.undo.sha256, "p2")
    assert unproven(files.versioned, proofs_on_record([proof, other_undo])) == (second,)


def test_a_proof_that_failed_later_takes_back_the_one_before(files):
    first = files.versioned[0]
    good = entry(1, "proof", first.sha256, first.undo.sha256, "p1")
    bad = entry(2, "proof", first.sha256, first.undo.sha256, "p2", '{"ok": false}')
    assert proofs_on_record([good, bad]) == {}
    assert proofs_on_record([bad, good]) == {(first.sha256, first.undo.sha256): "p1"}


def test_a_proof_travels_with_what_was_applied(files):
    first = files.versioned[0]
    pair = (first.sha256, first.undo.sha256)
    assert proofs_on_record([entry(1, "apply", *pair, "p1", "{}")]) == {pair: "p1"}
    assert proofs_on_record([entry(1, "apply", *pair, None, "{}")]) == {}

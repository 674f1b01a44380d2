from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.migrations.files import MigrationFilesError, flyway_checksum, read_migrations

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.lists(st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"])), min_size=1)


def test_the_check_value_of_crc32_comes_out_as_java_would_store_it() -> None:
    assert flyway_checksum(b"123456789") == 0xCBF43926 - (1 << 32)


def test_an_empty_file_is_zero() -> None:
    assert flyway_checksum(b"") == flyway_checksum(b"\n") == 0


@pytest.mark.parametrize("not_a_line_end", ["\u2028", "\u0085", "\f", "\v", "\x1c"])
def test_what_java_does_not_split_at_counts(not_a_line_end: str) -> None:
    assert flyway_checksum(f"a{not_a_line_end}b".encode()) == _reference(f"a{not_a_line_end}b")
    assert flyway_checksum(f"a{not_a_line_end}b".encode()) != flyway_checksum(b"a\nb")


def test_only_a_leading_byte_order_mark_is_dropped() -> None:
    assert flyway_checksum("\ufeffab".encode()) == flyway_checksum(b"ab")
    assert flyway_checksum("a\ufeffb".encode()) != flyway_checksum(b"ab")
    assert flyway_checksum("\ufeff\ufeffab".encode()) != flyway_checksum(b"ab")


@given(LINES, st.data())
def test_line_ends_do_not_count(lines: list[str], data: st.DataObject) -> None:
    mixed = "".join(line + data.draw(LINE_ENDS) for line in lines)
    assert flyway_checksum(mixed.encode()) == flyway_checksum("\n".join(lines).encode()) == _reference("".join(lines))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff")))
def test_the_checksum_is_that_of_the_text_read_line_by_line(text: str) -> None:
    read = "".join(line.rstrip("\n") for line in io.StringIO(text, newline=None))
    assert flyway_checksum(text.encode()) == _reference(read)


def _reference(text: str) -> int:
    return int.from_bytes(zlib.crc32(text.encode()).to_bytes(4, "big"), "big", signed=True)


def test_pairs_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (*range(1, 12), 2):
        _pair(tmp_path, f"{number:03d}", "step")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".gitkeep").touch()
    files = read_migrations(tmp_path)
    assert [file.number for file in files] == list(range(1, 12))
    first = files[0]
    assert (first.version, first.description, first.script) == ("001", "step", "V001__step.sql")
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert (first.undo.version, first.undo.script) == ("001", "U001__step_rollback.sql")
    assert first.undo.description == "step rollback"


def test_versions_beyond_999_come_after_it(tmp_path: Path) -> None:
    for number in (1000, 999):
        _pair(tmp_path, f"{number:03d}", "step")
    assert _problems(tmp_path) == {str(tmp_path): "V001 to V998 missing before V999"}


def test_the_text_is_kept_without_its_byte_order_mark_and_with_its_line_ends(tmp_path: Path) -> None:
    _pair(tmp_path, "001", "step", b"\xef\xbb\xbfSELECT 1;\r\n")
    assert read_migrations(tmp_path)[0].sql == "SELECT 1;\r\n"


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        (["V001__a.sql"], {"V001__a.sql": "its twin U001__a_rollback.sql is missing"}),
        (["U001__a_rollback.sql"], {"U001__a_rollback.sql": "undoes nothing: there is no V001__a.sql"}),
        (
            ["V001__a.sql", "U001__b_rollback.sql"],
            {
                "V001__a.sql": "its twin U001__a_rollback.sql is missing",
                "U001__b_rollback.sql": "undoes nothing: there is no V001__b.sql",
            },
        ),
        (
            ["V001__a.sql", "U001__a_rollback.sql", "V003__c.sql", "U003__c_rollback.sql"],
            {"": "V002 missing before V003"},
        ),
        (["V004__a.sql", "U004__a_rollback.sql"], {"": "V001 to V003 missing before V004"}),
        (["V000__a.sql", "U000__a_rollback.sql"], {"": "V000: versions count from 001"}),
        (
            ["V001__a.sql", "U001__a_rollback.sql", "V0001__b.sql", "U0001__b_rollback.sql"],
            dict.fromkeys(
                ("V001__a.sql", "U001__a_rollback.sql", "V0001__b.sql", "U0001__b_rollback.sql"),
                "version 1 is there more than once",
            ),
        ),
    ],
)
def test_a_set_that_does_not_fit_is_refused(tmp_path: Path, names: list[str], problems: dict[str, str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    assert _problems(tmp_path) == {str(tmp_path / name): message for name, message in problems.items()}


@pytest.mark.parametrize(
    "name",
    [
        "V1__a.sql",
        "V001_a.sql",
        "v001__a.sql",
        "V001__.sql",
        "V001__A.sql",
        "V001__a.SQL",
        "V001__a-b.sql",
        "V001__a b.sql",
        "V001__a__b.sql",
        "V001.1__a.sql",
        "V-01__a.sql",
        "V\u0660\u0660\u0661__a.sql",
        "B001__a.sql",
        "V001__a.sql.bak",
        "V001__a",
        "notes.txt",
        "V001__a.sql\n",
    ],
)
def test_a_file_flyway_would_skip_silently_is_refused(tmp_path: Path, name: str) -> None:
    _pair(tmp_path, "001", "fine")
    (tmp_path / name).write_text("SELECT 1;")
    assert _problems(tmp_path)[str(tmp_path / name)].startswith("is not named like V001__create_accounts.sql")


def test_a_folder_named_like_a_migration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "V001__a.sql").mkdir()
    assert str(tmp_path / "V001__a.sql") in _problems(tmp_path)


def test_every_problem_is_told_at_once_and_the_first_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "V002__a.sql").write_bytes(b"SELECT '\xff';")
    (tmp_path / "nonsense.sql").write_text("")
    with pytest.raises(MigrationFilesError) as caught:
        read_migrations(tmp_path)
    assert caught.value.exit_code == 64
    assert caught.value.code == "MIGRATION_FILES_INVALID"
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert sorted(problem["message"] for problem in problems) == [
        "V001 missing before V002",
        "is not UTF-8 (byte 8)",
        "is not named like V001__create_accounts.sql or U001__create_accounts_rollback.sql",
        "its twin U002__a_rollback.sql is missing",
    ]
    assert caught.value.message.endswith("(and 3 more)")


def test_a_nul_would_cut_the_query_short(tmp_path: Path) -> None:
    _pair(tmp_path, "001", "a", b"SELECT 1;\n\0SELECT 2;")
    assert _problems(tmp_path) == {str(tmp_path / "V001__a.sql"): "has a NUL character in line 2"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert _problems(tmp_path / "nowhere") == {str(tmp_path / "nowhere"): "there is no such folder"}


def _pair(folder: Path, version: str, stem: str, data: bytes = b"SELECT 1;\n") -> None:
    (folder / f"V{version}__{stem}.sql").write_bytes(data)
    (folder / f"U{version}__{stem}_rollback.sql").write_bytes(b"SELECT 1;\n")


def _problems(folder: Path) -> dict[str, str]:
    with pytest.raises(MigrationFilesError) as caught:
        read_migrations(folder)
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    return {problem["file"]: problem["message"] for problem in problems}

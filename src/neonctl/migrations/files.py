"""Migration files on disk → frozen values. The rules of ``product.md`` section 5, each violation named at once.

``V001__description.sql`` comes with ``U001__description_rollback.sql``; ``R__description.sql`` is repeatable: it has no
twin and runs again whenever it changed. Flyway skips a file whose name it does not
understand, with one line of INFO; here that is an error, because a migration nobody ran looks like one that ran.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import Path

from neonctl.errors import UsageError
from neonctl.frozen import frozen

_NAME = re.compile(r"(?:(?P<kind>[VU])(?P<version>[0-9]{3,})|R)__(?P<stem>[a-z0-9]+(?:_[a-z0-9]+)*)\.sql")
_ROLLBACK = "_rollback"
_LEADING = re.compile(r"(?:\s|--[^\r\n]*|/\*.*?\*/)*", re.DOTALL)  # what comes before the first statement
_NO_TRANSACTION = re.compile(r"(?:^|(?<=[\r\n]))[ \t]*--[ \t]*neonctl:[ \t]*non-transactional[ \t]*(?=[\r\n]|$)")
_LINE_END = re.compile(r"\r\n|\r|\n")  # what Java's readLine() ends a line at; str.splitlines() ends at more
_BESIDE = ("README.md",)  # may lie beside migrations; dotfiles may, too


class MigrationFilesError(UsageError):
    """The files are wrong. ``details["problems"]`` lists every problem as ``{"file", "message"}``."""


@frozen
class UndoFile:
    """The twin that takes a migration back."""

    version: str
    description: str
    script: str
    path: Path
    checksum: int
    sha256: str
    transactional: bool
    sql: str = field(repr=False)


@frozen
class MigrationFile:
    """One migration as it lies on disk; ``sql`` is the text that was hashed, without its byte order mark."""

    version: str  # as written in the name, zeros kept: "001"
    description: str  # with blanks, as Flyway records it
    script: str  # the file's name
    path: Path
    checksum: int  # Flyway's CRC32, signed
    sha256: str  # of the bytes as they are
    undo: UndoFile
    transactional: bool  # False: marked `-- neonctl: non-transactional` above its one statement
    sql: str = field(repr=False)

    @property
    def number(self) -> int:
        """The version as a number, which is what orders migrations."""
        return int(self.version)


@frozen
class RepeatableFile:
    """A migration without a version: run after all versioned ones, and again whenever its checksum changed."""

    description: str
    script: str
    path: Path
    checksum: int
    sha256: str
    sql: str = field(repr=False)


@frozen
class MigrationFolder:
    """All files of one database: versioned in version order, repeatable in the order of their descriptions."""

    versioned: tuple[MigrationFile, ...] = ()
    repeatable: tuple[RepeatableFile, ...] = ()


AnyFile = MigrationFile | RepeatableFile


@frozen
class _Named:
    """A file whose name is right; its content is not read yet."""

    kind: str  # V, U or R
    version: str  # "" of an R
    stem: str
    path: Path

    @property
    def number(self) -> int:
        return int(self.version)


@frozen
class _Problem:
    path: Path
    message: str


def read_folder(folder: Path) -> MigrationFolder:
    """Read one database's migrations.

    Raises ``MigrationFilesError`` with every problem at once: a misnamed file, a missing or orphaned twin, the same
    version twice, a gap, text that is not UTF-8. CRLF and a byte order mark are accepted, as Flyway accepts them.
    """
    if not folder.is_dir():
        raise _error(folder, [_Problem(folder, "there is no such folder")])
    problems: list[_Problem] = []
    named = list(_named_files(folder, problems))
    ups, downs, repeats = (sorted((f for f in named if f.kind == kind), key=_sort_key) for kind in "VUR")
    problems += _duplicates(ups)
    problems += _duplicates(downs)
    problems += _gaps(folder, ups)
    problems += _unpaired(ups, downs)
    contents = {file.path: _read(file.path, problems) for file in named}
    problems += [
        _Problem(file.path, "a repeatable migration runs in a transaction")
        for file in repeats
        if not _transactional(contents[file.path].decode("utf-8", "replace"))
    ]
    if problems:
        raise _error(folder, problems)
    undo_of = {file.number: _undo(file, contents[file.path]) for file in downs}
    return MigrationFolder(
        tuple(_migration(file, contents[file.path], undo_of[file.number]) for file in ups),
        tuple(_repeatable(file, contents[file.path]) for file in repeats),
    )


def read_migrations(folder: Path) -> tuple[MigrationFile, ...]:
    """The versioned ones of ``read_folder``, in version order."""
    return read_folder(folder).versioned


def flyway_checksum(data: bytes) -> int:
    """Flyway's checksum of a file: CRC-32 over its lines without their ends, as a signed 32-bit number.

    Source: Flyway's ChecksumCalculator. Line ends are CR, LF and CRLF only; one leading byte order mark does not
    count. Raises ``UnicodeDecodeError`` for what is not UTF-8.
    """
    lines = _LINE_END.split(data.decode("utf-8"))
    if lines[-1] == "":
        lines.pop()  # readLine() yields nothing after the last line end
    crc = 0
    for index, line in enumerate(lines):
        text = line.removeprefix("\ufeff") if index == 0 else line
        crc = zlib.crc32(text.encode("utf-8"), crc)
    return crc - (1 << 32) if crc & 0x80000000 else crc


def line_number(text: str, offset: int) -> int:
    """The 1-based line in which ``text[offset]`` stands; lines end as in a checksum."""
    return 1 + sum(1 for _ in _LINE_END.finditer(text, 0, offset))


def _named_files(folder: Path, problems: list[_Problem]) -> Iterator[_Named]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _BESIDE:
            continue
        match = _NAME.fullmatch(path.name)
        if match is None or not path.is_file():
            problems.append(
                _Problem(path, "is not named like V001__create_accounts.sql or U001__create_accounts_rollback.sql")
            )
            continue
        yield _Named(match["kind"] or "R", match["version"] or "", match["stem"], path)


def _sort_key(file: _Named) -> tuple[int, str]:
    """Versions count, descriptions read as Flyway compares them: with blanks."""
    return (file.number, file.path.name) if file.version else (0, _description(file.stem))


def _duplicates(files: list[_Named]) -> list[_Problem]:
    count = Counter(file.number for file in files)
    return [
        _Problem(file.path, f"version {file.number} is there more than once")
        for file in files
        if count[file.number] > 1
    ]


def _gaps(folder: Path, ups: list[_Named]) -> list[_Problem]:
    """Versions count up from 1: a hole is a file that was lost or never committed."""
    present = {file.number for file in ups}
    problems: list[_Problem] = []
    expected = 1
    for number in sorted(present):
        if number > expected:
            missing = f"V{expected:03d}" if number == expected + 1 else f"V{expected:03d} to V{number - 1:03d}"
            problems.append(_Problem(folder, f"{missing} missing before V{number:03d}"))
        elif number == 0:
            problems.append(_Problem(folder, "V000: versions count from 001"))
        expected = number + 1
    return problems


def _unpaired(ups: list[_Named], downs: list[_Named]) -> list[_Problem]:
    wanted = {(up.version, up.stem + _ROLLBACK): up for up in ups}
    present = {(down.version, down.stem): down for down in downs}
    problems = [
        _Problem(up.path, f"its twin U{version}__{stem}.sql is missing")
        for (version, stem), up in wanted.items()
        if (version, stem) not in present
    ]
    problems += [
        _Problem(down.path, f"undoes nothing: there is no V{version}__{stem.removesuffix(_ROLLBACK)}.sql")
        for (version, stem), down in present.items()
        if (version, stem) not in wanted
    ]
    return problems


def _read(path: Path, problems: list[_Problem]) -> bytes:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.append(_Problem(path, f"is not UTF-8 (byte {error.start})"))
        return data
    if "\0" in text:
        # The protocol ends a query at a NUL: the rest of the file would silently not run.
        problems.append(_Problem(path, f"has a NUL character in line {line_number(text, text.index(chr(0)))}"))
    return data


def _undo(file: _Named, data: bytes) -> UndoFile:
    sql = _text(data)
    return UndoFile(
        version=file.version,
        description=_description(file.stem),
        script=file.path.name,
        path=file.path,
        checksum=flyway_checksum(data),
        sha256=hashlib.sha256(data).hexdigest(),
        transactional=_transactional(sql),
        sql=sql,
    )


def _migration(file: _Named, data: bytes, undo: UndoFile) -> MigrationFile:
    sql = _text(data)
    return MigrationFile(
        version=file.version,
        description=_description(file.stem),
        script=file.path.name,
        path=file.path,
        checksum=flyway_checksum(data),
        sha256=hashlib.sha256(data).hexdigest(),
        undo=undo,
        transactional=_transactional(sql),
        sql=sql,
    )


def _repeatable(file: _Named, data: bytes) -> RepeatableFile:
    return RepeatableFile(
        description=_description(file.stem),
        script=file.path.name,
        path=file.path,
        checksum=flyway_checksum(data),
        sha256=hashlib.sha256(data).hexdigest(),
        sql=_text(data),
    )


def _transactional(sql: str) -> bool:
    """False if the mark stands, alone on its line, among the comments before the first statement."""
    mark = _NO_TRANSACTION.search(sql)
    if mark is None:
        return True
    leading = _LEADING.match(sql)
    return leading is None or mark.end() > leading.end()


def _description(stem: str) -> str:
    return stem.replace("_", " ")


def _text(data: bytes) -> str:
    return data.decode("utf-8").removeprefix("\ufeff")


def _error(folder: Path, problems: Iterable[_Problem]) -> MigrationFilesError:
    ordered = sorted(problems, key=lambda problem: (problem.path.name, problem.message))
    first = ordered[0]
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    return MigrationFilesError(
        "MIGRATION_FILES_INVALID",
        f"{first.path}: {first.message}{more}",
        hint="Correct the files; nothing was run.",
        details={
            "folder": str(folder),
            "problems": [{"file": str(problem.path), "message": problem.message} for problem in ordered],
        },
    )

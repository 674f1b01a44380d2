"""New migration files: the next free number, the pair of names, and a text to start from."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from neonctl.errors import UsageError

_NUMBERED = re.compile(r"[VU]([0-9]+)__")
_LONGEST = 120  # characters of a description: what is longer nobody reads in a list

_UP = """\
-- {title}.
--
-- Runs as {database}_migrate_user, in one transaction with its record; lock and statement timeouts are set.
-- Once it is applied anywhere it never changes: a correction is the next migration.
-- A new table has a primary key and comments, and is granted to {database}_app_user what the application needs.

"""
_DOWN = """\
-- Takes back {up}.
--
-- Afterwards everything is as it was before, in reverse order of making; `neonctl migrate prove` shows whether it is.
-- Rows of tables older than the migration stay, with their values.

"""
_UP_ALONE = """\
-- neonctl: non-transactional
-- {title}.
--
-- One statement, which cannot run in a transaction. After a run that broke off it must be possible to run it again.
-- For example: CREATE INDEX CONCURRENTLY idx_postings_account_id ON postings.postings (account_id)

"""
_DOWN_ALONE = """\
-- neonctl: non-transactional
-- Takes back {up}, in one statement as well.
-- For example: DROP INDEX CONCURRENTLY postings.idx_postings_account_id

"""
_REPEATABLE = """\
-- {title}.
--
-- Runs after all numbered migrations, and again whenever this file changes: every statement must bear repetition.
-- For views and functions: CREATE OR REPLACE. A function with SECURITY DEFINER sets search_path = …, pg_temp.

"""


def new_migration(
    folder: Path, *, database: str, description: str, transactional: bool = True
) -> tuple[str, tuple[Path, Path]]:
    """Write the next pair, V and U, into a ``migrations`` folder (made if missing); its version and the two files.

    Two at once get two numbers. Raises ``UsageError`` for a description that makes no file name.
    """
    stem = _stem(description)
    with _turn(folder):
        version = f"{_newest(folder) + 1:03d}"
        up, down = folder / f"V{version}__{stem}.sql", folder / f"U{version}__{stem}_rollback.sql"
        words = {"title": _title(description), "database": database, "up": up.name}
        _write({up: (_UP if transactional else _UP_ALONE), down: (_DOWN if transactional else _DOWN_ALONE)}, words)
    return version, (up, down)


def new_repeatable(folder: Path, *, description: str) -> Path:
    """Write a repeatable migration. Raises ``UsageError`` if there is one of this name."""
    path = folder / f"R__{_stem(description)}.sql"
    with _turn(folder):
        _write({path: _REPEATABLE}, {"title": _title(description)})
    return path


def _stem(description: str) -> str:
    stem = re.sub(r"[^a-z0-9]+", "_", description.lower()).strip("_")
    if not stem or len(stem) > _LONGEST or not description.isascii():
        raise UsageError(
            "MIGRATION_NAME_INVALID",
            f"`{description[:_LONGEST]}` makes no name for a migration",
            hint=f'Say what it does in ASCII letters and digits, at most {_LONGEST}, such as "add index on postings".',
        )
    return stem


def _title(description: str) -> str:
    words = " ".join(description.replace("_", " ").split()).rstrip(".")
    return words[:1].upper() + words[1:]


@contextmanager
def _turn(folder: Path) -> Generator[None]:
    """Hold the folder while a number is chosen and taken; a process that dies lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _newest(folder: Path) -> int:
    numbers = [int(match[1]) for path in folder.iterdir() if (match := _NUMBERED.match(path.name))]
    return max(numbers, default=0)


def _write(templates: Mapping[Path, str], words: Mapping[str, str]) -> None:
    """Write all or none; nothing that exists is touched."""
    written: list[Path] = []
    try:
        for path, template in templates.items():
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(template.format_map(words))
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise UsageError(
                "MIGRATION_EXISTS",
                f"{error.filename} exists already",
                hint="Change that one, or choose another description.",
            ) from None
        raise

"""migrate lint | new: the files alone. Neither needs the platform, a database or a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.options import command

if TYPE_CHECKING:
    from neonctl.cli.session import Session
    from neonctl.migrations.lint.folder import LintResult

Format = Literal["text", "json", "sarif", "junit", "github"]


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``migrate``."""
    command(group, "lint")(lint)
    command(group, "new")(new)


def lint(
    session: Session,
    database: Annotated[
        list[str] | None, typer.Option("--database", help="Database; repeatable [default: all]")
    ] = None,
    report: Annotated[
        Format | None, typer.Option("--format", help="Format of the findings [default: as --output says]")
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output-file", help="Write --format into this file; stdout gets --output")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too")] = False,
) -> int:
    """Say what is wrong with migration files, before anything runs. Exit code 1 if there are errors."""
    from neonctl.cli import github
    from neonctl.cli.github_log import active
    from neonctl.migrations.lint.folder import lint_folders
    from neonctl.migrations.lint.squawk import find_config

    folders = _folders(session, database)
    result = lint_folders(folders, squawk_config=find_config(session.db_dir)).seen_from(Path.cwd())
    _deliver(session, result, report or session.options.output, output_file, strict=strict)
    if active() and report != "github":
        github.annotate_findings(result.findings)
    return 1 if result.count("error") or (strict and result.count("warning")) else 0


def new(
    session: Session,
    database: Annotated[str, typer.Argument(help="Database, for example bank_core")],
    description: Annotated[str, typer.Argument(help='What it does, for example "add index on postings"')],
    repeatable: Annotated[
        bool, typer.Option("--repeatable", help="R__ file: no number, no undo, run again when it changes")
    ] = False,
    non_transactional: Annotated[
        bool, typer.Option("--non-transactional", help="For one statement that no transaction takes")
    ] = False,
) -> int:
    """Write the files of a new migration: the next number, V and U."""
    from neonctl.errors import UsageError
    from neonctl.migrations.scaffold import new_migration, new_repeatable

    if repeatable and non_transactional:
        raise UsageError("USAGE", "a repeatable migration runs in a transaction: give one of the two options")
    folder = _folder_of(session, database)
    if repeatable:
        version, files = None, (new_repeatable(folder, description=description),)
    else:
        version, files = new_migration(
            folder, database=database, description=description, transactional=not non_transactional
        )
    session.emit(
        {"database": database, "version": version, "files": [str(file) for file in files]},
        "\n".join(f"{file} created" for file in files),
    )
    session.say(f"\nnext: write {'it' if repeatable else 'both'}, then `neonctl migrate lint --database {database}`")
    return 0


def _folders(session: Session, databases: list[str] | None) -> dict[str, Path]:
    """The folder of each database that was named, or of all that have one."""
    found = {path.parent.name: path for path in sorted(_db_dir(session).glob("*/migrations")) if path.is_dir()}
    if not found:
        raise _no_migrations(f"there are no migrations in {session.db_dir}")
    for name in databases or ():
        if name not in found:
            raise _unknown(name, list(found))
    return {name: path for name, path in found.items() if not databases or name in databases}


def _folder_of(session: Session, database: str) -> Path:
    """Where a database's migrations go. A database without a folder must be declared in the YAML."""
    folder = _db_dir(session) / database
    known = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    if database not in known:
        from neonctl.desired.load import load

        known = list(load(session.config_dir).platform.databases)
    if database not in known:
        raise _unknown(database, known)
    return folder / "migrations"


def _db_dir(session: Session) -> Path:
    if not session.db_dir.is_dir():
        raise _no_migrations(f"there is no folder {session.db_dir} with the migrations")
    return session.db_dir


def _no_migrations(message: str) -> Exception:
    from neonctl.errors import UsageError

    hint = "run neonctl in the project's folder, or name the right one with --db DIR"
    return UsageError("DB_FOLDER_MISSING", message, hint=hint)


def _unknown(database: str, known: list[str]) -> Exception:
    from neonctl.errors import UsageError

    return UsageError(
        "UNKNOWN_DATABASE",
        f"there is no database `{database}`",
        hint=f"known are {', '.join(sorted(known))}" if known else "no database has a folder with migrations",
    )


def _deliver(session: Session, result: LintResult, report: Format, file: Path | None, *, strict: bool) -> None:
    """The findings where they were asked for: workflow commands on stderr, anything else on stdout or in ``file``."""
    from neonctl.cli.files import write_file
    from neonctl.cli.findings import findings_document, findings_text
    from neonctl.cli.github_log import inert, inert_json

    if file is not None:
        write_file(file, _rendered(result, report, strict=strict))
    elif report == "github":
        sys.stderr.write(_rendered(result, report, strict=strict))
    else:
        text = _rendered(result, report, strict=strict)
        sys.stdout.write(inert(text) if report == "text" else inert_json(text))
        return
    session.emit(findings_document(result), findings_text(result))


def _rendered(result: LintResult, report: Format, *, strict: bool) -> str:
    """The findings as a file holds them."""
    if report == "sarif":
        from neonctl.cli.findings_sarif import sarif

        return sarif(result)
    if report == "junit":
        from neonctl.cli.findings_junit import junit

        return junit(result, strict=strict)
    if report == "github":
        from neonctl.cli.github import finding_commands

        return "".join(f"{line}\n" for line in finding_commands(result.findings))
    from neonctl.cli.findings import findings_json, findings_text

    return (findings_json(result) if report == "json" else findings_text(result)) + "\n"

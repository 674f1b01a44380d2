"""preview diff: what a pull request does to the schema, for its readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neonctl.cli.options import command

if TYPE_CHECKING:
    from collections.abc import Callable

    from neonctl.cli.session import Session
    from neonctl.desired.model import Desired
    from neonctl.pipelines.schema_diff import DatabaseDiff


def register(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "diff")(diff)


def diff(
    session: Session,
    number: Annotated[int, typer.Argument(min=1, max=999_999_999, help="Number of the pull request")],
    database: Annotated[
        list[str] | None, typer.Option("--database", help="Database; repeatable [default: all]")
    ] = None,
    form: Annotated[
        Literal["text", "markdown"], typer.Option("--format", help="Format of the result without -o json")
    ] = "text",
    output_file: Annotated[
        Path | None, typer.Option("--output-file", help="Write it as Markdown into this file too; empty when equal")
    ] = None,
    comment: Annotated[
        bool, typer.Option("--comment", help="Keep one comment on the pull request up to date (GITHUB_TOKEN)")
    ] = False,
) -> int:
    """Show what a preview's schema has, or has otherwise, than the branch that it grew from. Changes nothing.

    On GitHub Actions it goes into the job's summary, too.
    """
    from neonctl.cli.files import write_file
    from neonctl.cli.github import report_diff
    from neonctl.cli.schema_diff_text import diff_document, diff_markdown, diff_text
    from neonctl.desired.preview import preview_name, preview_spec
    from neonctl.pipelines.schema_diff import diff_schemas

    name = preview_name(number)
    desired = session.configuration([name]).desired
    source = preview_spec(desired).branch.source
    assert source is not None  # loading refuses a preview without one
    chosen = _databases(desired, database)
    services = session.services(desired, "preview diff")
    session.say(f"Comparing {len(chosen)} {'database' if len(chosen) == 1 else 'databases'} of {name} with {source}")
    found = _found(
        lambda: diff_schemas(desired.environments[source], desired.environments[name], chosen, services), name
    )
    markdown = diff_markdown(name, source, found)
    session.emit(
        diff_document(name, source, found), markdown.rstrip() if form == "markdown" else diff_text(name, source, found)
    )
    if output_file is not None:
        write_file(output_file, markdown)
    report_diff(found, markdown)
    if comment:
        from neonctl.cli.github_comment import keep_comment

        equal = f"{name} has the schema of {source}."
        session.say(f"comment on #{number}: {keep_comment(number, 'preview diff', markdown, otherwise=equal)}")
    return 0


def _databases(desired: Desired, named: list[str] | None) -> tuple[str, ...]:
    from neonctl.errors import UsageError

    present = [name for name, spec in desired.platform.databases.items() if spec.state == "present"]
    unknown = [name for name in named or () if name not in present]
    if unknown:
        raise UsageError(
            "UNKNOWN_DATABASE",
            f"no database {', '.join(unknown)} in the configuration",
            hint=f"declared are: {', '.join(present)}",
        )
    return tuple(dict.fromkeys(named or present))


def _found(read: Callable[[], tuple[DatabaseDiff, ...]], name: str) -> tuple[DatabaseDiff, ...]:
    """What was read; a preview without stored credentials is one that is not there, or not finished."""
    from neonctl.errors import ServiceError

    try:
        return read()
    except ServiceError as error:
        if error.code == "AWS_NOT_FOUND" and f"/{name}/" in error.message:
            raise ServiceError(
                "PREVIEW_MISSING",
                f"there is no preview {name}, or it was not finished: its credentials are not stored",
                hint=f"run neonctl preview create {name.removeprefix('pr-')} first",
            ) from None
        raise

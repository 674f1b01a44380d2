"""preview create | diff | delete | list | prune: an environment for each pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli import preview_diff
from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session

Number = Annotated[int, typer.Argument(min=1, max=999_999_999, help="Number of the pull request")]
Repository = Annotated[
    str | None, typer.Option("--repository", help="Its repository, owner/name [GitHub Actions: this one]")
]


def register(app: typer.Typer) -> None:
    """Add the commands about previews."""
    group = command_group(app, "preview", "Environments for pull requests: a copy of dev for each.")
    command(group, "create")(create)
    preview_diff.register(group)
    command(group, "delete")(delete)
    command(group, "list")(list_)
    command(group, "prune")(prune)


def create(
    session: Session,
    number: Number,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Delete this preview's branch first and start over from its source")
    ] = False,
    repository: Repository = None,
    commit: Annotated[
        str | None, typer.Option("--commit", help="What is previewed [GitHub Actions: the head of the pull request]")
    ] = None,
) -> int:
    """Make the preview of a pull request, or bring it up to date: branch, passwords, secrets, migrations.

    Can be run again at any time, after each push for example: it sets the expiry anew and migrates forward.
    """
    from neonctl.cli.github import pull_request_of, report_preview
    from neonctl.cli.preview_text import preview_document, preview_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.desired.preview import preview_name, preview_spec
    from neonctl.migrations.evidence import Provenance
    from neonctl.pipelines.preview import create_preview
    from neonctl.pipelines.provenance import git_commit

    name = preview_name(number)
    configuration = session.configuration([name])
    desired = configuration.desired
    preview_spec(desired)
    services = session.services(desired, "preview create", masked=True)
    audit = session.audit(desired, services)
    audit.open()
    session.say(f"Preview {name} of project {desired.platform.project.name}")
    with ProgressLines(session) as progress:
        made = create_preview(
            pull_request_of(number, repository=repository, commit=commit),
            configuration,
            services,
            recreate=recreate,
            progress=progress,
            audit=audit,
            provenance=lambda where: Provenance(audit.actor(where), session.trace_id, git_commit(session.db_dir)),
        )
    session.say(f"\nReady in {progress.seconds:.0f} s.\n")
    document = preview_document(made, desired)
    session.emit(document, preview_text(made, desired, local=session.settings.local))
    report_preview(document)
    return 0


def delete(session: Session, number: Number, repository: Repository = None) -> int:
    """Delete the preview of a pull request: branch, secrets, parameters. What is gone already is success."""
    from neonctl.cli.github import pull_request_of
    from neonctl.cli.preview_text import removal_document, removal_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.desired.preview import preview_name, preview_spec
    from neonctl.pipelines.preview_removal import delete_preview

    configuration = session.configuration([preview_name(number)])
    desired = configuration.desired
    preview_spec(desired)
    services = session.services(desired, "preview delete")
    audit = session.audit(desired, services)
    audit.open()
    with ProgressLines(session) as progress:
        removal = delete_preview(
            pull_request_of(number, repository=repository, commit=None),
            desired,
            services,
            progress=progress,
            audit=audit,
        )
    session.emit(removal_document(removal), removal_text(removal))
    return 0


def list_(session: Session) -> int:
    """List previews: pull request, commit, expiry; and what is left of those whose branch is gone."""
    from neonctl.cli.preview_text import standing_document, standing_text
    from neonctl.desired.preview import preview_spec
    from neonctl.pipelines.preview_removal import standing_previews

    desired = session.configuration().desired
    preview_spec(desired)
    found = standing_previews(desired, session.services(desired, "preview list"))
    session.emit(standing_document(found), standing_text(found))
    return 0


def prune(
    session: Session,
    open_: Annotated[
        str | None,
        typer.Option("--open", metavar="N,N", help="Keep these pull requests and delete all others; `none` keeps none"),
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Delete what no run has refreshed for so long: 7d")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted")] = False,
    repository: Repository = None,
) -> int:
    """Delete previews that nobody needs, and what expired branches left: secrets, parameters, throw-away branches.

    Touches only branches that neonctl made for pull requests, proofs and rehearsals; never default or protected ones,
    or those that others come from. One that fails does not keep the others; the exit code is 1 then.
    """
    from datetime import UTC, datetime, timedelta

    from neonctl.cli.duration import seconds
    from neonctl.cli.github import pull_request_of
    from neonctl.cli.preview_text import prunable_text, pruned_document, pruned_text
    from neonctl.cli.progress import ProgressLines
    from neonctl.desired.preview import preview_spec
    from neonctl.pipelines.preview_removal import find_prunable
    from neonctl.pipelines.preview_removal import prune as prune_them

    still_open = _numbers(open_, older_than)
    desired = session.configuration().desired
    preview_spec(desired)
    services = session.services(desired, "preview prune")
    items = find_prunable(
        desired,
        services,
        repository=pull_request_of(0, repository=repository, commit=None).repository,
        still_open=still_open,
        older_than=None if older_than is None else timedelta(seconds=seconds(older_than, "--older-than")),
        now=datetime.now(UTC),
    )
    text = prunable_text(items)
    doomed = [item for item in items if item.kept is None]
    if dry_run or not doomed:
        session.emit(pruned_document(items, None), text)
        return 0
    session.say(text)
    if not session.settings.local:
        session.confirm(f"Delete {len(doomed)} of them?", about=text)
    audit = session.audit(desired, services)
    audit.open()
    with ProgressLines(session) as progress:
        pruned = prune_them(items, desired, services, progress=progress, audit=audit)
    session.emit(pruned_document(items, pruned), pruned_text(pruned))
    return 1 if any(each.error for each in pruned) else 0


def _numbers(still_open: str | None, older_than: str | None) -> frozenset[int] | None:
    """``12,15`` → both. Raises ``UsageError``: an empty list may be one that somebody failed to get."""
    from neonctl.errors import UsageError

    if (still_open is None) == (older_than is None):
        raise UsageError(
            "USAGE", "say which previews nobody needs", hint="either --open 12,15 or --older-than 7d, not both"
        )
    if still_open is None:
        return None
    words = [word for word in still_open.replace(",", " ").split() if word]
    if words == ["none"]:
        return frozenset()
    if not words or not all(word.isdecimal() and word.isascii() for word in words):
        raise UsageError(
            "USAGE",
            f"--open: {still_open!r} is no list of pull requests",
            hint="write --open 12,15; --open none when really none is open: then every preview is deleted",
        )
    return frozenset(int(word) for word in words)

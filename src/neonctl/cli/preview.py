"""preview create: an environment for one pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
    services = session.services(desired, "preview create")
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

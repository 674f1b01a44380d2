"""secrets list | show, connection-string: names and metadata; values only with --reveal, and then on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neonctl.cli.options import command, command_group

if TYPE_CHECKING:
    from neonctl.cli.session import Session
    from neonctl.desired.model import Desired, RoleKind

Environment = Annotated[str, typer.Option("--env", help="Environment")]
Database = Annotated[str, typer.Option("--database", help="Database, for example bank_core")]
Role = Annotated[str, typer.Option("--role", help="app_user, migrate_user, readonly or resolution_officer")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show the password; goes on record")]


def register(app: typer.Typer) -> None:
    """Add the commands about credentials."""
    group = command_group(app, "secrets", "Stored credentials, without their values.")
    command(group, "list")(secrets_list)
    command(group, "show")(secrets_show)
    command(app, "connection-string")(connection_string)


def secrets_list(
    session: Session,
    env: Annotated[list[str] | None, typer.Option("--env", help="Environment; repeatable [default: all]")] = None,
) -> int:
    """List the credentials of each environment: name, version, state. Reads no values."""
    from neonctl.cli.provisioning import selection
    from neonctl.cli.table import table
    from neonctl.provision.observe import secret_names

    configuration = session.configuration(env or ())
    desired = configuration.desired
    services = session.services(desired, "secrets list", only_describes=True)
    found: list[dict[str, object]] = []
    for name in selection(configuration, env) or tuple(desired.environments):
        spec = desired.environments[name]
        wanted = secret_names(desired, spec)
        described = services.aws(spec.aws).secrets().describe(wanted)
        for secret in wanted:
            snapshot = described.get(secret)
            state = "missing" if snapshot is None else "scheduled for deletion" if snapshot.deleted else "stored"
            if snapshot is not None and snapshot.pending_version is not None:
                state = "unfinished change"
            version = snapshot.current_version if snapshot else None
            found.append({"environment": name, "name": secret, "state": state, "version_id": version})
    rows = [
        [str(row["environment"]), str(row["name"]), str(row["state"]), str(row["version_id"] or "-")] for row in found
    ]
    session.emit({"secrets": found}, table(["environment", "name", "state", "version"], rows))
    return 0


def secrets_show(
    session: Session,
    env: Environment,
    database: Database,
    role: Role,
    reveal: Reveal = False,
) -> int:
    """Show one credential. The password and the URI are masked without --reveal."""
    from neonctl.cli.table import table
    from neonctl.secret import MASK

    desired, name, kind = _which(session, env, database, role)
    services = session.services(desired, "secrets show")
    version, credential = services.aws(desired.environments[env].aws).secrets().read(name)
    if reveal:
        session.audit(desired, services).record("secret.reveal", name, env, "done", {"version_id": version})
        session.mask(credential.password, credential.uri)
    fields: dict[str, object] = {
        "engine": credential.engine,
        "host": credential.host,
        "port": credential.port,
        "username": credential.username,
        "password": credential.password.reveal() if reveal else MASK,
        "dbname": credential.dbname,
        "sslmode": credential.sslmode,
        "uri": credential.uri.reveal() if reveal else MASK,
        "direct_host": credential.direct_host,
        "direct_port": credential.direct_port,
        "pooled_host": credential.pooled_host,
        "pooled_port": credential.pooled_port,
    }
    document = {"name": name, "role": kind, "version_id": version, "revealed": reveal, "secret": fields}
    session.emit(document, table(["field", "value"], [[key, str(value)] for key, value in fields.items()]))
    return 0


def connection_string(
    session: Session,
    env: Environment,
    database: Database,
    role: Role = "app_user",
    direct: Annotated[bool, typer.Option("--direct", help="The direct host")] = False,
    pooled: Annotated[bool, typer.Option("--pooled", help="The pooled host")] = False,
    reveal: Reveal = False,
) -> int:
    """Print the connection URI of a role. Its password is masked without --reveal."""
    from neonctl.errors import UsageError
    from neonctl.plan.observed import Address, Addresses
    from neonctl.secret import MASK, Secret
    from neonctl.vault.payload import make_credential

    if direct and pooled:
        raise UsageError("USAGE", "--direct and --pooled exclude each other", hint="give one of them, or neither")
    desired, name, kind = _which(session, env, database, role)
    services = session.services(desired, "connection-string")
    version, stored = services.aws(desired.environments[env].aws).secrets().read(name)
    use_pooled = pooled or (kind == "app_user" and not direct)
    addresses = Addresses(
        Address(stored.direct_host, stored.direct_port), Address(stored.pooled_host, stored.pooled_port)
    )
    if reveal:
        session.audit(desired, services).record("secret.reveal", name, env, "done", {"version_id": version})
    shown = make_credential(
        addresses,
        pooled=use_pooled,
        username=stored.username,
        password=stored.password if reveal else Secret("PASSWORD"),
        dbname=stored.dbname,
        ca_file=session.settings.ca_file,
    )
    uri = shown.uri.reveal()
    if reveal:
        session.mask(stored.password, shown.uri)
    else:
        uri = uri.replace(":PASSWORD@", f":{MASK}@", 1)
        session.say("hint: the password is masked; --reveal shows it")
    session.emit({"uri": uri, "pooled": use_pooled, "revealed": reveal}, uri)
    return 0


def _which(session: Session, env: str, database: str, role: str) -> tuple[Desired, str, RoleKind]:
    """The secret's name of a role given by kind or by full name."""
    from neonctl.cli.provisioning import selection
    from neonctl.desired.model import secret_name
    from neonctl.errors import UsageError

    configuration = session.configuration([env])
    selection(configuration, [env])
    desired = configuration.desired
    spec = desired.platform.databases.get(database)
    if spec is None:
        raise UsageError(
            "UNKNOWN_DATABASE",
            f"no database {database} in the configuration",
            hint=f"declared are: {', '.join(desired.platform.databases)}",
        )
    short = role.removeprefix(f"{database}_")
    kind: RoleKind | None = next((each for each in spec.roles if each == short), None)
    if kind is None:
        raise UsageError(
            "UNKNOWN_ROLE", f"database {database} has no role {role}", hint=f"declared are: {', '.join(spec.roles)}"
        )
    return desired, secret_name(desired.environments[env].stage, database, kind), kind

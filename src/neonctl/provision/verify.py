"""The privilege matrix, proven by logging in with each stored credential over its own path (product.md 4).

What must work is tried and must work; what must not is tried and must be refused with "permission denied". Statements
are only explained, inside BEGIN READ ONLY: Postgres checks privileges for EXPLAIN as it does for execution, and
nothing can change, so the same proof runs on prod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from psycopg import sql

from neonctl.desired.model import Desired, EnvironmentSpec, RoleKind, role_name, secret_name
from neonctl.errors import NeonctlError
from neonctl.plan.diff_database import wanted_object_grants
from neonctl.plan.observed import Address, EnvironmentSnapshot, Grant
from neonctl.postgres.batch import fetch
from neonctl.postgres.probe import try_statement
from neonctl.provision.parallel import for_each
from neonctl.provision.progress import Event, Progress

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from neonctl.provision.services import Services
    from neonctl.vault.payload import Credential

Outcome = Literal["allowed", "denied", "failed"]
_Statement = sql.SQL | sql.Composed


@dataclass(frozen=True)
class Check:
    """One cell of the matrix: what was tried, what should happen, what happened."""

    environment: str
    database: str
    role: str
    probe: str
    expected: Outcome
    found: Outcome
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether what happened is what should."""
        return self.expected == self.found


@dataclass(frozen=True)
class _Subject:
    environment: str
    database: str
    kind: RoleKind
    credential: Credential


def verify_environment(
    environment: str, snapshot: EnvironmentSnapshot, *, desired: Desired, services: Services, progress: Progress
) -> list[Check]:
    """Every check of one environment. A credential that cannot log in is a failed check, not an error."""
    spec = desired.environments[environment]

    def one(subject: tuple[str, RoleKind]) -> list[Check]:
        database, kind = subject
        checks = _verify_role(environment, database, kind, spec, snapshot, desired, services)
        progress(Event(environment, f"{role_name(database, kind)}: {len(checks)} checks"))
        return checks

    subjects: list[tuple[str, RoleKind]] = [
        (database, kind)
        for database, wanted in desired.platform.databases.items()
        if wanted.state == "present"
        for kind in wanted.roles
    ]
    return [check for checks in for_each(one, subjects, width=8) for check in checks]


def _verify_role(
    environment: str,
    database: str,
    kind: RoleKind,
    spec: EnvironmentSpec,
    snapshot: EnvironmentSnapshot,
    desired: Desired,
    services: Services,
) -> list[Check]:
    role = role_name(database, kind)

    def check(probe: str, expected: Outcome, found: Outcome, message: str = "") -> Check:
        return Check(environment, database, role, probe, expected, found, message)

    try:
        _, credential = services.aws(spec.aws).secrets().read(secret_name(spec.stage, database, kind))
    except NeonctlError as error:
        return [check("read the stored credential", "allowed", "failed", error.message)]
    subject = _Subject(environment, database, kind, credential)
    pooled = kind == "app_user"
    way = "pooled" if pooled else "direct"
    try:
        with services.login(
            Address(credential.host, credential.port), database, credential.username, credential.password, pooled=pooled
        ) as connection:
            checks = [check(f"log in over the {way} host", "allowed", "allowed")]
            columns = _columns(connection)
            checks += [
                check(probe, expected, *_try(connection, statement))
                for probe, expected, statement in _probes(subject, snapshot, desired, columns)
            ]
    except NeonctlError as error:
        return [check(f"log in over the {way} host", "allowed", "failed", error.message)]
    checks.append(_other_database(subject, desired, services, check_environment=environment))
    checks.append(_replication(subject, spec, services))
    return checks


def _probes(
    subject: _Subject, snapshot: EnvironmentSnapshot, desired: Desired, columns: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Outcome, _Statement]]:
    """What to try inside the role's own database."""
    role = role_name(subject.database, subject.kind)
    inside = snapshot.cluster.databases.get(subject.database) if snapshot.cluster else None
    wanted = desired.platform.databases[subject.database]
    owner = subject.kind == "migrate_user"
    if inside is None:
        return
    expected = wanted_object_grants(desired, subject.database, inside)
    for table in sorted(inside.tables):
        schema, name = table.split(".", 1)
        if schema not in wanted.schemas:
            continue
        for privilege, statement in _table_statements(schema, name):
            allowed = owner or _has(expected, role, table, privilege, columns.get(table, ()))
            yield f"{privilege} {table}", "allowed" if allowed else "denied", statement
        visible = {g.object for g in expected if g.kind == "column" and g.grantee == role and g.privilege == "SELECT"}
        if any(column.startswith(f"{table}.") for column in visible):
            for column in columns.get(table, ()):
                yield (
                    f"SELECT {table}.{column}",
                    "allowed" if f"{table}.{column}" in visible else "denied",
                    sql.SQL("EXPLAIN SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(schema, name)),
                )
    for schema in wanted.schemas:
        yield (
            f"CREATE in schema {schema}",
            "allowed" if owner else "denied",
            _assert_true(sql.SQL("has_schema_privilege({}, 'CREATE')").format(sql.Literal(schema))),
        )
    yield (
        "CREATE in the database",
        "denied",
        _assert_true(sql.SQL("has_database_privilege(current_database(), 'CREATE')")),
    )
    yield (
        "superuser, BYPASSRLS, CREATEROLE or CREATEDB",
        "denied",
        _assert_true(
            sql.SQL(
                "(select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb from pg_roles"
                " where rolname = current_user)"
            )
        ),
    )
    yield "read password verifiers (pg_authid)", "denied", sql.SQL("EXPLAIN SELECT rolpassword FROM pg_authid")


def _columns(connection: psycopg.Connection[TupleRow]) -> dict[str, list[str]]:
    """The columns of every table: the catalogue tells their names to everyone."""
    found: dict[str, list[str]] = {}
    statement = sql.SQL(
        "SELECT n.nspname || '.' || c.relname, a.attname FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_'"
        " ORDER BY 1, a.attnum"
    )
    rows = fetch(connection, statement, doing="reading the names of columns")
    for table, column in rows:
        found.setdefault(str(table), []).append(str(column))
    return found


def _has(grants: frozenset[Grant], role: str, table: str, privilege: str, columns: Sequence[str]) -> bool:
    """Whether the role should have it: on the table; or, for SELECT, on every column; for others, on any."""
    mine = [grant for grant in grants if grant.grantee == role and grant.privilege == privilege]
    if any(grant.kind == "table" and grant.object == table for grant in mine):
        return True
    held = {grant.object for grant in mine if grant.kind == "column" and grant.object.startswith(f"{table}.")}
    if privilege == "SELECT":
        return bool(columns) and all(f"{table}.{column}" in held for column in columns)
    return bool(held)


def _table_statements(schema: str, name: str) -> Sequence[tuple[str, _Statement]]:
    """One statement per privilege. SELECT asks for every column, so that a hidden one shows."""
    table = sql.Identifier(schema, name)
    literal = sql.Literal(table.as_string(None))
    return (
        ("SELECT", sql.SQL("EXPLAIN SELECT * FROM {}").format(table)),
        ("INSERT", sql.SQL("EXPLAIN INSERT INTO {} DEFAULT VALUES").format(table)),
        ("UPDATE", _assert_true(sql.SQL("has_any_column_privilege({}, 'UPDATE')").format(literal))),
        ("DELETE", sql.SQL("EXPLAIN DELETE FROM {} WHERE false").format(table)),
        ("TRUNCATE", _assert_true(sql.SQL("has_table_privilege({}, 'TRUNCATE')").format(literal))),
    )


def _assert_true(condition: sql.Composable) -> sql.Composed:
    """A statement that ends in a division by zero when the catalogue does not give the right."""
    return sql.SQL("SELECT 1 / (CASE WHEN {} THEN 1 ELSE 0 END)").format(condition)


def _try(connection: psycopg.Connection[TupleRow], statement: _Statement) -> tuple[Outcome, str]:
    """Run one probe in a read-only transaction that is rolled back."""
    found = try_statement(connection, statement, read_only=True)
    if found.verdict == "error":
        # 22012, division by zero: ``_assert_true`` found that the catalogue does not give it.
        return ("denied", "") if found.sqlstate == "22012" else ("failed", found.message)
    return found.verdict, ""


def _other_database(subject: _Subject, desired: Desired, services: Services, *, check_environment: str) -> Check:
    """No role may connect to another domain's database (DT-001)."""
    names = [name for name in desired.platform.databases if name != subject.database]
    credential = subject.credential
    role = credential.username
    if not names:
        return Check(check_environment, subject.database, role, "connect elsewhere", "denied", "denied")
    other = names[0]
    probe = f"connect to {other}"
    address = Address(credential.direct_host, credential.direct_port)
    try:
        with services.login(address, other, role, credential.password):
            found: Outcome = "allowed"
            message = ""
    except NeonctlError as error:
        found = "denied" if error.code == "POSTGRES_REFUSED" else "failed"
        message = "" if found == "denied" else error.message
    return Check(check_environment, subject.database, role, probe, "denied", found, message)


def _replication(subject: _Subject, spec: EnvironmentSpec, services: Services) -> Check:
    """Only readonly, and only where the environment says so, may open a replication connection (CDC)."""
    credential = subject.credential
    expected: Outcome = "allowed" if spec.cdc and subject.kind == "readonly" else "denied"
    address = Address(credential.direct_host, credential.direct_port)
    found: Outcome = "allowed"
    message = ""
    try:
        with services.login(
            address, subject.database, credential.username, credential.password, replication=True
        ) as connection:
            fetch(connection, sql.SQL("IDENTIFY_SYSTEM"), doing="asking for a replication stream")
    except NeonctlError as error:
        found = "denied" if error.code == "POSTGRES_REFUSED" else "failed"
        message = "" if found == "denied" else error.message
    return Check(
        subject.environment, subject.database, credential.username, "replication connection", expected, found, message
    )


def object_privileges(snapshot: EnvironmentSnapshot, database: str) -> frozenset[Grant]:
    """The privileges on objects of one database: what ``privileges.txt`` holds."""
    from neonctl.plan.grants import OBJECT_KINDS, RESERVED_ROLES

    inside = snapshot.cluster.databases.get(database) if snapshot.cluster else None
    if inside is None:
        return frozenset()
    return frozenset(g for g in inside.grants if g.kind in OBJECT_KINDS and g.grantee not in RESERVED_ROLES)

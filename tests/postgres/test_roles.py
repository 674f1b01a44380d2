from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Generator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from neonctl.errors import NeonctlError
from neonctl.plan.observed import CredentialMark, RoleSnapshot
from neonctl.postgres.inspect import read_cluster
from neonctl.postgres.roles import (
    RoleChanges,
    alter_role,
    create_role,
    create_roles,
    drop_role,
    grant_membership,
    reset_overrides,
    revoke_membership,
    set_password,
    set_role_settings,
)
from neonctl.secret import Secret
from postgres_server import PostgresServer

Connection = psycopg.Connection[TupleRow]

CANARY = "Canary7f3aPq9ZxWv2Lm8K"
MARK = CredentialMark("br-cold-sun-12345678", "6b1f0c1e-0b7e-4a53-9d0e-0a2c7c1c9f10")

_numbers = itertools.count()


@pytest.fixture
def cluster(neon: PostgresServer) -> Generator[Connection]:
    with neon.connect(user="bank_owner") as conn:
        yield conn


@pytest.fixture
def new_name(neon: PostgresServer) -> Generator[Callable[[], str]]:
    """Names of roles that are gone when the test is over: roles are of the cluster."""
    names: list[str] = []

    def name() -> str:
        names.append(f"role_{next(_numbers)}")
        return names[-1]

    yield name
    with neon.connect() as conn:
        for each in names:
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(each)))


def test_owner_makes_a_role_with_every_attribute_and_reads_it_back(
    cluster: Connection, new_name: Callable[[], str]
) -> None:
    wanted = RoleSnapshot(
        new_name(),
        createdb=True,
        createrole=True,
        replication=True,
        bypassrls=True,
        inherit=False,
        connection_limit=7,
        settings={"statement_timeout": "30s", "search_path": 'accounts, core, "$user"', "application_name": "a=b, c"},
    )
    create_role(cluster, wanted)
    assert read_cluster(cluster).roles[wanted.name] == wanted


def test_creating_again_gives_an_existing_role_the_wanted_attributes(
    cluster: Connection, new_name: Callable[[], str]
) -> None:
    first, second = new_name(), new_name()
    create_roles(cluster, [RoleSnapshot(first, createdb=True, bypassrls=True, connection_limit=3)])
    wanted = [RoleSnapshot(first, replication=True), RoleSnapshot(second, login=False)]
    create_roles(cluster, wanted)
    create_roles(cluster, wanted)
    found = read_cluster(cluster).roles
    assert [found[first], found[second]] == wanted


def test_an_end_of_the_password_is_seen_and_taken_away(cluster: Connection, new_name: Callable[[], str]) -> None:
    wanted = RoleSnapshot(new_name())
    create_role(cluster, wanted)
    alter_role(cluster, wanted.name, RoleChanges(valid_until="2030-01-01T00:00:00Z"))
    ended = read_cluster(cluster).roles[wanted.name].valid_until
    assert ended is not None
    assert datetime.fromisoformat(ended) == datetime(2030, 1, 1, tzinfo=UTC)
    create_role(cluster, wanted)
    assert read_cluster(cluster).roles[wanted.name] == wanted


def test_settings_in_one_database_are_seen_and_only_the_named_are_taken_away(
    cluster: Connection, database: str, new_name: Callable[[], str]
) -> None:
    wanted = RoleSnapshot(new_name(), settings={"statement_timeout": "30s"})
    create_role(cluster, wanted)
    own = {"statement_timeout": "0", "work_mem": "8MB"}
    for name, value in own.items():
        cluster.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} TO {}").format(
                *map(sql.Identifier, (wanted.name, database, name)), sql.Literal(value)
            )
        )
    assert read_cluster(cluster).roles[wanted.name].overrides == {database: own}
    reset_overrides(cluster, wanted, [database])
    assert read_cluster(cluster).roles[wanted.name].overrides == {database: {"work_mem": "8MB"}}


def test_altering_changes_only_what_is_named(cluster: Connection, new_name: Callable[[], str]) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name, connection_limit=5, createdb=True))
    alter_role(cluster, name, RoleChanges(replication=True))
    alter_role(cluster, name, RoleChanges(createdb=False))
    alter_role(cluster, name, RoleChanges())
    assert read_cluster(cluster).roles[name] == RoleSnapshot(name, connection_limit=5, replication=True)


def test_a_setting_is_taken_away_by_none_and_the_others_stay(cluster: Connection, new_name: Callable[[], str]) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name, settings={"lock_timeout": "5s", "statement_timeout": "1min"}))
    set_role_settings(cluster, name, {"lock_timeout": None, "idle_in_transaction_session_timeout": "60s"})
    settings = read_cluster(cluster).roles[name].settings
    assert settings == {"statement_timeout": "1min", "idle_in_transaction_session_timeout": "60s"}


def test_a_setting_that_does_not_exist_is_refused(cluster: Connection, new_name: Callable[[], str]) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name))
    with pytest.raises(NeonctlError, match="unrecognized configuration parameter") as caught:
        set_role_settings(cluster, name, {"no_such_thing": "1"})
    assert (caught.value.code, caught.value.exit_code) == ("POSTGRES_REFUSED", 5)


def test_platform_roles_are_left_out_and_owner_has_no_membership_by_having_made_a_role(
    cluster: Connection, new_name: Callable[[], str]
) -> None:
    create_role(cluster, RoleSnapshot(new_name()))
    found = read_cluster(cluster)
    assert not [name for name in found.roles if name.startswith("pg_") or name in ("cloud_admin", "neon_superuser")]
    assert found.roles["bank_owner"].member_of == {"neon_superuser", "bank_migrate_user"}
    assert not found.roles["bank_owner"].superuser
    assert found.wal_level == "logical"


def test_membership_is_seen_and_taken_back(cluster: Connection, new_name: Callable[[], str]) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name))
    cluster.execute(sql.SQL("GRANT pg_read_all_data TO {} WITH ADMIN OPTION").format(sql.Identifier(name)))
    assert read_cluster(cluster).roles[name].member_of == {"pg_read_all_data"}
    revoke_membership(cluster, "pg_read_all_data", name)
    revoke_membership(cluster, "pg_read_all_data", name)
    assert read_cluster(cluster).roles[name].member_of == frozenset()


def test_owner_of_a_role_can_act_as_it_after_the_grant_and_not_before(
    cluster: Connection, new_name: Callable[[], str]
) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name))
    use = sql.SQL("SELECT pg_has_role({}, 'USAGE') AND pg_has_role({}, 'SET')").format(name, name)
    before = cluster.execute(use).fetchone()
    grant_membership(cluster, name, "bank_owner")
    grant_membership(cluster, name, "bank_owner")
    assert (before, cluster.execute(use).fetchone()) == ((False,), (True,))
    revoke_membership(cluster, name, "bank_owner")
    assert cluster.execute(use).fetchone() == (False,)
    drop_role(cluster, name)
    drop_role(cluster, name)
    assert name not in read_cluster(cluster).roles


def test_password_and_mark_come_together_and_the_password_works(
    neon: PostgresServer, cluster: Connection, new_name: Callable[[], str]
) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name))
    set_password(cluster, name, Secret(CANARY), MARK)
    assert read_cluster(cluster).roles[name].mark == MARK
    with psycopg.connect(neon.tcp_conninfo("postgres", name, CANARY)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (name,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(neon.tcp_conninfo("postgres", name, "another"))


@pytest.mark.parametrize(
    "password", [f"{CANARY}\x00", CANARY, f"{CANARY}'; OOPS", f'{CANARY}\\ %s {{}} "x" $1', f"ü{CANARY}"]
)
def test_no_error_holds_the_password(cluster: Connection, password: str) -> None:
    with pytest.raises(NeonctlError, match="no_such_role") as caught:
        set_password(cluster, "no_such_role", Secret(password), MARK)
    assert_unseen(caught.value)


def test_no_error_holds_the_password_when_the_transaction_was_broken_before(cluster: Connection) -> None:
    cluster.execute("BEGIN")
    with pytest.raises(psycopg.Error):
        cluster.execute("SELECT nonsense")
    with pytest.raises(NeonctlError, match="aborted") as caught:
        set_password(cluster, "bank_app_user", Secret(CANARY), MARK)
    assert_unseen(caught.value)


def test_password_and_mark_are_one_transaction(
    neon: PostgresServer, cluster: Connection, new_name: Callable[[], str]
) -> None:
    name = new_name()
    create_role(cluster, RoleSnapshot(name))
    set_password(cluster, name, Secret("first"), MARK)
    with neon.connect() as conn:
        same = """
            SELECT a.xmin = d.xmin FROM pg_authid AS a JOIN pg_shdescription AS d ON d.objoid = a.oid
            WHERE a.rolname = %s
        """
        assert conn.execute(same, [name]).fetchone() == (True,)


def assert_unseen(error: BaseException) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    seen = [repr(error), str(error), *traceback.format_exception(error)]
    if isinstance(error, NeonctlError):
        seen += [str(error.hint), str(error.details)]
    assert not [text for text in seen if CANARY in text]

"""Give and take back: any set of privileges, in any order, by whomever it was granted."""

from __future__ import annotations

from collections.abc import Generator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import TupleRow

from neonctl.errors import NeonctlError
from neonctl.plan.observed import Grant
from neonctl.postgres.grant_sql import grant_statements
from neonctl.postgres.grants import apply_grants, change_grants, revoke_grants
from neonctl.postgres.inspect import read_database
from postgres_server import PostgresServer

Connection = psycopg.Connection[TupleRow]

OBJECTS = """
CREATE TABLE accounts.accounts (id int, balance numeric, "Odd ""Column" int);
CREATE TABLE core."Odd.Table" (id int, "timestamp" int);
CREATE VIEW core.open AS SELECT id FROM accounts.accounts;
CREATE SEQUENCE core.numbers;
CREATE TYPE core."Money, etc" AS (amount numeric);
CREATE FUNCTION core.post(uuid, numeric, timestamptz[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION core.post(core."Money, etc", "char", double precision) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE accounts."Do It"() LANGUAGE sql AS 'SELECT 1';
"""
DATABASE = "{database}"
TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
COLUMN = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
SEQUENCE = ("USAGE", "SELECT", "UPDATE")
WHAT: dict[tuple[str, str], tuple[str, ...]] = {
    ("database", DATABASE): ("CONNECT", "CREATE", "TEMPORARY"),
    ("schema", "accounts"): ("USAGE", "CREATE"),
    ("schema", "core"): ("USAGE", "CREATE"),
    ("table", "accounts.accounts"): TABLE,
    ("table", 'core."Odd.Table"'): TABLE,
    ("table", "core.open"): TABLE,
    ("column", "accounts.accounts.id"): COLUMN,
    ("column", 'accounts.accounts."Odd ""Column"'): COLUMN,
    ("column", 'core."Odd.Table".timestamp'): COLUMN,
    ("sequence", "core.numbers"): SEQUENCE,
    ("function", "core.post(uuid, numeric, timestamp with time zone[])"): ("EXECUTE",),
    ("function", 'core.post(core."Money, etc", "char", double precision)'): ("EXECUTE",),
    ("function", 'accounts."Do It"()'): ("EXECUTE",),
    ("default", "bank_migrate_user/*/tables"): TABLE,
    ("default", "bank_migrate_user/*/functions"): ("EXECUTE",),
    ("default", "bank_migrate_user/accounts/tables"): TABLE,
    ("default", "bank_migrate_user/core/tables"): TABLE,
    ("default", "bank_migrate_user/core/sequences"): SEQUENCE,
    ("default", "bank_owner/*/sequences"): SEQUENCE,
}
#: The schema public stays as it is; bank_owner's own default for functions shows once it has any default privilege.
OURS = {"accounts", "core"}


@st.composite
def grant(draw: st.DrawFn) -> Grant:
    kind, name = draw(st.sampled_from(sorted(WHAT)))
    grantee = draw(st.sampled_from(["bank_app_user", "bank_readonly", "PUBLIC"]))
    grantable = grantee != "PUBLIC" and draw(st.integers(0, 3)) == 0
    return Grant(kind, name, grantee, draw(st.sampled_from(WHAT[kind, name])), grantable)


def one_each(grants: frozenset[Grant]) -> frozenset[Grant]:
    """With or without the option, not both."""
    return frozenset({(g.kind, g.object, g.grantee, g.privilege): g for g in sorted(grants)}.values())


grant_sets = st.frozensets(grant(), max_size=25).map(one_each)


@pytest.fixture
def objects(migrator: Connection) -> None:
    migrator.execute(OBJECTS)


@pytest.fixture(scope="module")
def everything(neon: PostgresServer, template: str) -> Generator[Connection]:
    """One database for all examples of a property: each starts from where the last one ended."""
    with neon.database(template, owner="bank_owner") as name:
        with neon.connect(name, "bank_migrate_user") as conn:
            conn.execute(OBJECTS)
        with neon.connect(name, "bank_owner") as conn:
            yield conn


def held(conn: Connection) -> frozenset[Grant]:
    return frozenset(
        each
        for each in read_database(conn).grants
        if not (each.kind == "schema" and each.object not in OURS)
        and (each.kind, each.object) != ("default", "bank_owner/*/functions")
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(desired=grant_sets)
def test_after_a_change_exactly_the_desired_is_held(everything: Connection, desired: frozenset[Grant]) -> None:
    """Whatever was there before (the last example's privileges), the difference leads to the goal."""
    name = str(everything.info.dbname)
    wanted = frozenset(
        Grant(g.kind, g.object.replace(DATABASE, name), g.grantee, g.privilege, g.grantable) for g in desired
    )
    found = held(everything)
    change_grants(everything, grant=wanted - found, revoke=found - wanted)
    assert held(everything) == wanted
    apply_grants(everything, wanted)
    assert held(everything) == wanted


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=grant_sets, second=grant_sets)
def test_revoking_before_granting_in_two_steps_leads_there_too(
    everything: Connection, first: frozenset[Grant], second: frozenset[Grant]
) -> None:
    name = str(everything.info.dbname)
    for desired in (first, second):
        wanted = frozenset(
            Grant(g.kind, g.object.replace(DATABASE, name), g.grantee, g.privilege, g.grantable) for g in desired
        )
        found = held(everything)
        with everything.transaction():
            revoke_grants(everything, found - wanted)
            apply_grants(everything, wanted - found)
        assert held(everything) == wanted


def test_few_statements_for_many_grants() -> None:
    tables = [f"accounts.t{number}" for number in range(50)]
    grants = [Grant("table", table, "bank_app_user", right) for table in tables for right in ("SELECT", "INSERT")]
    grants += [Grant("default", f"o/{name}/tables", "bank_app_user", "SELECT") for name in ("a", "b", "*")]
    assert [each.as_string()[:60] for each in grant_statements(grants)] == [
        'ALTER DEFAULT PRIVILEGES FOR ROLE "o" GRANT SELECT ON TABLES',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "o" IN SCHEMA "a", "b" GRA',
        'GRANT INSERT, SELECT ON TABLE "accounts"."t0", "accounts"."t',
    ]


@pytest.mark.parametrize(
    "bad",
    [
        Grant("table", "a.b; DROP TABLE x", "r", "SELECT"),
        Grant("table", "a.b", "r", "SELECT ON TABLE x TO y; --"),
        Grant("table", "a.b", "r", "EXECUTE"),
        Grant("function", "a.f(int) TO x; --", "r", "EXECUTE"),
        Grant("function", "a.f(int); DROP TABLE x; SELECT f(1)", "r", "EXECUTE"),
        Grant("function", "a.f(int, (select 1))", "r", "EXECUTE"),
        Grant("function", "a.f('x')", "r", "EXECUTE"),
        Grant("default", "o/s/tables TO x", "r", "SELECT"),
        Grant("column", "balance", "r", "SELECT"),
        Grant("tablespace", "t", "r", "CREATE"),
    ],
)
def test_what_is_no_grant_never_becomes_sql(bad: Grant) -> None:
    with pytest.raises(ValueError, match="not a"):
        grant_statements([bad])


@pytest.mark.usefixtures("objects")
def test_the_grant_option_goes_and_the_privilege_stays(neon: PostgresServer, owner: Connection, database: str) -> None:
    apply_grants(
        owner,
        [
            Grant("schema", "accounts", "bank_app_user", "USAGE"),
            Grant("table", "accounts.accounts", "bank_app_user", "SELECT", grantable=True),
            Grant("table", "accounts.accounts", "bank_app_user", "INSERT"),
        ],
    )
    with neon.connect(database, "bank_app_user") as conn:
        conn.execute("GRANT SELECT ON accounts.accounts TO bank_readonly")
    change_grants(
        owner,
        grant=[Grant("table", "accounts.accounts", "bank_app_user", "SELECT")],
        revoke=[Grant("table", "accounts.accounts", "bank_app_user", "SELECT", grantable=True)],
    )
    assert {each for each in held(owner) if each.kind == "table"} == {
        Grant("table", "accounts.accounts", "bank_app_user", "SELECT"),
        Grant("table", "accounts.accounts", "bank_app_user", "INSERT"),
        Grant("table", "accounts.accounts", "bank_readonly", "SELECT"),  # not asked to go: now the owner's gift
    }


@pytest.mark.parametrize(
    ("sql", "gone"),
    [
        ("GRANT SELECT ON accounts.accounts TO PUBLIC", Grant("table", "accounts.accounts", "PUBLIC", "SELECT")),
        (
            "GRANT SELECT (id) ON accounts.accounts TO bank_readonly",
            Grant("column", "accounts.accounts.id", "bank_readonly", "SELECT"),
        ),
    ],
)
@pytest.mark.usefixtures("objects")
def test_what_somebody_else_granted_goes_while_his_own_stays(
    neon: PostgresServer, owner: Connection, database: str, sql: str, gone: Grant
) -> None:
    own = Grant("table", "accounts.accounts", "bank_app_user", "SELECT", grantable=True)
    usage = Grant("schema", "accounts", "bank_app_user", "USAGE")
    apply_grants(owner, [own, usage])
    before = held(owner)
    with neon.connect(database, "bank_app_user") as conn:
        conn.execute(sql.encode())
    assert held(owner) == before | {gone}
    revoke_grants(owner, [gone])
    assert held(owner) == before


@pytest.mark.usefixtures("objects")
def test_taking_a_table_s_right_leaves_the_column_s(owner: Connection) -> None:
    column = Grant("column", "accounts.accounts.id", "bank_readonly", "SELECT")
    table = Grant("table", "accounts.accounts", "bank_readonly", "SELECT")
    apply_grants(owner, [column, table])
    revoke_grants(owner, [table])
    assert {each for each in held(owner) if each.kind in ("table", "column")} == {column}


@pytest.mark.usefixtures("objects")
def test_a_privilege_on_what_is_not_ours_is_refused_and_nothing_changes(
    neon: PostgresServer, owner: Connection, database: str
) -> None:
    with neon.connect(database, "cloud_admin") as conn:
        conn.execute("CREATE TABLE core.foreign_one (id int); GRANT SELECT ON core.foreign_one TO bank_app_user")
    ours = Grant("table", "accounts.accounts", "bank_readonly", "SELECT")
    apply_grants(owner, [ours])
    before = held(owner)
    with pytest.raises(NeonctlError, match=r"bank_app_user keeps SELECT on table core\.foreign_one") as caught:
        revoke_grants(owner, [Grant("table", "core.foreign_one", "bank_app_user", "SELECT"), ours])
    assert (caught.value.code, held(owner)) == ("POSTGRES_REFUSED", before)


def test_an_unknown_object_is_an_error_that_says_which(owner: Connection) -> None:
    with pytest.raises(NeonctlError, match=r'relation "accounts.none" does not exist'):
        apply_grants(owner, [Grant("table", "accounts.none", "bank_app_user", "SELECT")])

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import psycopg
import pytest

from neonctl.errors import ServiceError
from neonctl.migrations.files import read_folder
from neonctl.migrations.progress import MigrationEvent
from neonctl.migrations.proof import FixtureFilesError, Proof, read_fixtures
from neonctl.migrations.prove import prove
from neonctl.migrations.session import RunSettings
from postgres_server import PostgresServer

SETTINGS = RunSettings(lock_timeout_s=10, statement_timeout_s=30)
Connection = psycopg.Connection[tuple[object, ...]]
Pair = tuple[str, str]
Prove = Callable[..., Proof]

CUSTOMERS: Pair = (
    """
    CREATE TABLE bank.customers (id int PRIMARY KEY, name text NOT NULL DEFAULT '', note text);
    CREATE INDEX customers_name ON bank.customers (name);
    COMMENT ON TABLE bank.customers IS 'Who has accounts.';
    """,
    "DROP TABLE bank.customers;",
)


@pytest.fixture
def conn(postgres_server: PostgresServer) -> Generator[Connection]:
    """A database as provisioning leaves it: a schema, no tables."""
    with postgres_server.database() as name, postgres_server.connect(name) as conn:
        conn.execute("CREATE SCHEMA bank")
        yield conn


@pytest.fixture
def proving(conn: Connection, tmp_path: Path) -> Prove:
    """``proving((V, U), ..., fixtures={1: "INSERT ..."}, applied=2, baseline=0)``: the first ``applied`` are there."""

    def go(
        *pairs: Pair,
        fixtures: Mapping[int, str] | None = None,
        applied: int = 0,
        baseline: int = 0,
        repeatable: Sequence[str] = (),
        events: list[MigrationEvent] | None = None,
    ) -> Proof:
        folder, rows = tmp_path / "migrations", tmp_path / "fixtures"
        folder.mkdir()
        rows.mkdir()
        for number, (up, down) in enumerate(pairs, 1):
            (folder / f"V{number:03d}__step.sql").write_text(up)
            (folder / f"U{number:03d}__step_rollback.sql").write_text(down)
        for number, text in enumerate(repeatable, 1):
            (folder / f"R__again_{number}.sql").write_text(text)
        for number, text in (fixtures or {}).items():
            (rows / f"V{number:03d}.sql").write_text(text)
        files = read_folder(folder)
        record(conn, [(file.version, file.script, file.checksum) for file in files.versioned[:applied]], baseline)
        return prove(
            conn,
            database="bank_core",
            files=files,
            fixtures=read_fixtures(rows),
            progress=(events if events is not None else []).append,
            settings=SETTINGS,
        )

    return go


def record(conn: Connection, rows: Sequence[tuple[str, str, int]], baseline: int) -> None:
    """What stands in Flyway's record. That the objects are there, too, is the test's to see to."""
    if not rows and not baseline:
        return
    from neonctl.migrations.history import CREATE_TABLE

    conn.execute(CREATE_TABLE)
    insert = "INSERT INTO flyway_schema_history VALUES (%s, %s, %s, %s, %s, %s, 'x', now(), 0, true)"
    if baseline:
        conn.execute(insert, [1, f"{baseline:03d}", "base", "BASELINE", "base", None])
    for rank, (version, script, checksum) in enumerate(rows, 2):
        if int(version) > baseline:
            conn.execute(insert, [rank, version, "step", "SQL", script, checksum])


def problems(proof: Proof) -> list[str]:
    return [*proof.problems, *(problem for version in proof.versions for problem in version.problems)]


def notes(proof: Proof) -> list[str]:
    return [*proof.notes, *(note for version in proof.versions for note in version.notes)]


def test_undos_that_undo_are_proven_and_the_proof_is_bound_to_the_files(proving: Prove) -> None:
    events: list[MigrationEvent] = []
    proof = proving(
        CUSTOMERS,
        ("ALTER TABLE bank.customers ADD email text", "ALTER TABLE bank.customers DROP email"),
        fixtures={1: "INSERT INTO bank.customers VALUES (1, 'Aroha', 'x'), (2, 'Wiremu', NULL)"},
        events=events,
    )
    assert problems(proof) == []
    assert proof.ok
    assert [(each.version, each.tables_with_rows) for each in proof.versions] == [("001", 1), ("002", 1)]
    assert all(each.up_ms is not None and each.down_ms is not None for each in proof.versions)
    assert [event.script for event in events if event.kind == "proving"] == ["V001__step.sql", "V002__step.sql"] * 2
    assert notes(proof) == ["plpgsql_check was skipped: the server does not have it"]
    document = proof.document()
    assert document["ok"] is True
    assert document["proof_id"] == proof.proof_id
    assert len(proof.proof_id) == 64


ADD_COLUMN = "ALTER TABLE bank.customers ADD email text"

#: What the undo of V002 forgets: (V002, U002, what is said of it).
FORGETFUL: dict[str, tuple[str, str, list[str]]] = {
    "not null": (
        "ALTER TABLE bank.customers ALTER name DROP NOT NULL",
        "SELECT 1",
        ["after U002__step_rollback.sql: column bank.customers.name: not null was yes, is not set"],
    ),
    "column order": (
        "ALTER TABLE bank.customers DROP name",
        "ALTER TABLE bank.customers ADD name text NOT NULL DEFAULT ''; CREATE INDEX customers_name ON bank.customers (name)",
        ["after U002__step_rollback.sql: table bank.customers: columns was id, name, note, is id, note, name"],
    ),
    "index": (
        "DROP INDEX bank.customers_name",
        "SELECT 1",
        [
            "after U002__step_rollback.sql: index bank.customers.customers_name: is not there any more",
            (
                "V002__step.sql cannot be applied again after U002__step_rollback.sql: V002__step.sql:1: index"
                ' "customers_name" does not exist (SQLSTATE 42704)'
            ),
        ],
    ),
    "grant": (
        "GRANT SELECT ON bank.customers TO PUBLIC",
        "SELECT 1",
        ["after U002__step_rollback.sql: table bank.customers: grant to PUBLIC was not set, is SELECT"],
    ),
    "comment": (
        "COMMENT ON TABLE bank.customers IS 'Other.'",
        "SELECT 1",
        ["after U002__step_rollback.sql: table bank.customers: comment was Who has accounts., is Other."],
    ),
    "default": (
        "ALTER TABLE bank.customers ALTER name SET DEFAULT 'x'",
        "ALTER TABLE bank.customers ALTER name DROP DEFAULT",
        ["after U002__step_rollback.sql: column bank.customers.name: default was ''::text, is not set"],
    ),
    "policy": (
        "ALTER TABLE bank.customers ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON bank.customers USING (id > 0)",
        "DROP POLICY p ON bank.customers",
        ["after U002__step_rollback.sql: table bank.customers: row security was not set, is enabled"],
    ),
    "function": (
        "CREATE OR REPLACE FUNCTION bank.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT 1",
        ["after U002__step_rollback.sql: function bank.one(): was not there before"],
    ),
    "type": (
        "CREATE TYPE bank.kind AS ENUM ('A'); ALTER TABLE bank.customers ADD kind bank.kind",
        "ALTER TABLE bank.customers DROP kind",
        [
            "after U002__step_rollback.sql: type bank.kind: was not there before",
            (
                'V002__step.sql cannot be applied again after U002__step_rollback.sql: V002__step.sql:1: type "kind" already'
                " exists (SQLSTATE 42710)"
            ),
        ],
    ),
}


@pytest.mark.parametrize("applied", [0, 2], ids=["pending", "applied"])
@pytest.mark.parametrize(("up", "down", "said"), FORGETFUL.values(), ids=list(FORGETFUL))
def test_what_an_undo_forgets_is_named(
    proving: Prove, conn: Connection, tmp_path: Path, up: str, down: str, said: list[str], applied: int
) -> None:
    if applied:
        conn.execute((CUSTOMERS[0] + up).encode())
    proof = proving(CUSTOMERS, (up, down), applied=applied)
    assert [problem.replace(f"{tmp_path}/migrations/", "") for problem in problems(proof)] == said
    assert [version.ok for version in proof.versions] == [True, False]


def test_a_grant_on_what_is_provisioned_is_missed_while_it_is_new(proving: Prove) -> None:
    proof = proving(("GRANT USAGE ON SCHEMA bank TO PUBLIC", "SELECT 1"))
    assert problems(proof) == ["after U001__step_rollback.sql: schema bank: grant to PUBLIC was not set, is USAGE"]


TRIGGER = """
CREATE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.note := 'touched';
    RETURN new;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON bank.customers FOR EACH ROW EXECUTE FUNCTION bank.touch();
"""


def test_a_trigger_and_a_function_body_that_do_not_come_back_are_named(proving: Prove) -> None:
    proof = proving(
        CUSTOMERS,
        (TRIGGER, "DROP FUNCTION bank.touch() CASCADE"),
        (
            "CREATE OR REPLACE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
            TRIGGER.partition("CREATE TRIGGER")[0].replace("CREATE", "CREATE OR REPLACE").replace("touched", "used"),
        ),
        ("DROP TRIGGER touch ON bank.customers", "SELECT 1"),
    )
    said = problems(proof)
    assert "after U004__step_rollback.sql: trigger bank.customers.touch: is not there any more" in said
    body = next(problem for problem in said if "function bank.touch()" in problem)
    assert "U003__step_rollback.sql: function bank.touch(): definition differs:" in body
    assert "new.note := 'touched';" in body
    assert "new.note := 'used';" in body
    assert [version.ok for version in proof.versions][:2] == [True, True]


ROWS = {1: "INSERT INTO bank.customers VALUES (1, 'Aroha', 'x'), (2, 'Wiremu', 'y')"}
SEED = "INSERT INTO bank.customers VALUES (100, 'seed')"

#: Undos that restore the schema and yet not what was there: (V002, U002, said of rows).
CARELESS: dict[str, tuple[str, str, str]] = {
    "leaves rows": (
        "INSERT INTO bank.customers SELECT coalesce(max(id), 0) + 100, 'seed' FROM bank.customers",
        "SELECT 1",
        "leaves 1 row behind",
    ),
    "loses rows": (SEED, "DELETE FROM bank.customers WHERE id > 0", "loses 2 of the 2 rows that were there before"),
    "truncates": (SEED, "TRUNCATE bank.customers", "loses 2 of the 2 rows that were there before"),
    "drops and makes again": (
        "DROP TABLE bank.customers",
        CUSTOMERS[0],
        "loses 2 of the 2 rows that were there before",
    ),
    "loses a column's values": (
        "ALTER TABLE bank.customers DROP note",
        "ALTER TABLE bank.customers ADD note text",
        "values are not what they were before: in note",
    ),
    "changes values": (
        "UPDATE bank.customers SET name = upper(name) WHERE id > 0",
        "UPDATE bank.customers SET name = lower(name) WHERE id > 0",
        "values are not what they were before: in name",
    ),
    "swaps values": (
        "UPDATE bank.customers SET name = CASE id WHEN 1 THEN 'Wiremu' ELSE 'Aroha' END WHERE id > 0",
        "SELECT 1",
        "values are not what they were before: swapped between rows",
    ),
}


@pytest.mark.parametrize(("up", "down", "said"), CARELESS.values(), ids=list(CARELESS))
def test_rows_that_do_not_come_back_are_a_problem(proving: Prove, up: str, down: str, said: str) -> None:
    proof = proving(CUSTOMERS, (up, down), fixtures=ROWS)
    assert f"U002__step_rollback.sql: bank.customers: {said}" in problems(proof)
    assert [version.ok for version in proof.versions] == [True, False]


@pytest.mark.parametrize(("up", "down", "said"), CARELESS.values(), ids=list(CARELESS))
def test_an_undo_that_owns_up_to_its_loss_is_reported_and_does_not_fail(
    proving: Prove, up: str, down: str, said: str
) -> None:
    marked = f"-- Takes the seed back.\n-- neonctl: loses-data  agreed with audit \n{down}"
    proof = proving(CUSTOMERS, (up, marked), fixtures=ROWS)
    assert problems(proof) == []
    noted = f"U002__step_rollback.sql: bank.customers: {said} (loses data, as the file says: agreed with audit)"
    assert noted in proof.versions[1].notes


def test_a_loss_is_found_on_the_rows_of_the_copy_without_any_fixture(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    conn.execute(ROWS[1].encode())
    up, down, said = CARELESS["loses a column's values"]
    proof = proving(CUSTOMERS, (up, down), applied=1)
    assert problems(proof) == [f"U002__step_rollback.sql: bank.customers: {said}"]


def test_an_applied_undo_may_take_back_only_what_its_migration_put_there(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    conn.execute(ROWS[1].encode())
    conn.execute(SEED.encode())
    proof = proving(CUSTOMERS, (SEED, "DELETE FROM bank.customers WHERE id > 0"), applied=2)
    assert problems(proof) == [
        "U002__step_rollback.sql: bank.customers: takes away 2 more of its 3 rows than V002__step.sql puts there"
    ]


def test_an_applied_undo_that_takes_its_seed_back_is_proven(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    conn.execute(ROWS[1].encode())
    conn.execute(SEED.encode())
    proof = proving(CUSTOMERS, (SEED, "DELETE FROM bank.customers WHERE id = 100"), applied=2)
    assert problems(proof) == []


def test_an_undo_that_cannot_be_applied_again_is_found_when_the_rows_are_left(proving: Prove, tmp_path: Path) -> None:
    proof = proving(CUSTOMERS, (SEED, "SELECT 1"))
    assert problems(proof) == [
        "U002__step_rollback.sql: bank.customers: leaves 1 row behind",
        (
            f"V002__step.sql cannot be applied again after U002__step_rollback.sql: {tmp_path}/migrations/V002__step.sql:1:"
            ' duplicate key value violates unique constraint "customers_pkey" (SQLSTATE 23505)'
        ),
    ]


def test_what_comes_after_a_file_that_fails_is_said_to_be_not_tried(proving: Prove, tmp_path: Path) -> None:
    proof = proving(CUSTOMERS, ("SELECT 1;\n\nSELECT nothing", "SELECT 1"), ("SELECT 1", "SELECT 1"))
    assert proof.versions[1].problems == (
        (
            f"V002__step.sql cannot be applied: {tmp_path}/migrations/V002__step.sql:3:"
            ' column "nothing" does not exist (SQLSTATE 42703)'
        ),
    )
    assert proof.versions[2].problems == ("V003__step.sql was not tried: what comes before it fails",)
    assert proof.versions[0].ok


def test_an_undo_that_fails_does_not_hide_the_others(proving: Prove, tmp_path: Path) -> None:
    proof = proving(
        CUSTOMERS,
        (ADD_COLUMN, "ALTER TABLE bank.customers DROP emial"),
        ("CREATE TABLE bank.third (id int)", "SELECT 1"),
    )
    assert proof.versions[0].ok
    assert proof.versions[1].problems == (
        (
            f"U002__step_rollback.sql fails: {tmp_path}/migrations/U002__step_rollback.sql:1:"
            ' column "emial" of relation "customers" does not exist (SQLSTATE 42703)'
        ),
    )
    assert proof.versions[2].problems[0] == "after U003__step_rollback.sql: table bank.third: was not there before"


#: The rows of a version's own table: V002 with them, and what is said.
WITH_OWN_ROWS: dict[str, tuple[Pair, str, str]] = {
    "the undo cannot run on them": (
        (
            "ALTER TABLE bank.customers ALTER note SET DEFAULT 'n', ADD CONSTRAINT c CHECK (id < 1000)",
            (
                "ALTER TABLE bank.customers ALTER note DROP DEFAULT, DROP CONSTRAINT c, ADD CONSTRAINT d CHECK (id < 10);"
                "ALTER TABLE bank.customers DROP CONSTRAINT d"
            ),
        ),
        "INSERT INTO bank.customers VALUES (500, 'late')",
        'check constraint "d" of relation "customers" is violated by some row (SQLSTATE 23514)',
    ),
    "the undo takes rows of older tables with it": (
        (
            (
                "CREATE TABLE bank.kinds (id int PRIMARY KEY);"
                "ALTER TABLE bank.customers ADD kind int REFERENCES bank.kinds"
            ),
            (
                "DELETE FROM bank.customers WHERE kind IS NOT NULL;"
                "ALTER TABLE bank.customers DROP kind; DROP TABLE bank.kinds"
            ),
        ),
        "INSERT INTO bank.kinds VALUES (1); INSERT INTO bank.customers (id, kind) VALUES (500, 1)",
        "bank.customers: loses 1 of the 3 rows there with V002.sql",
    ),
}


@pytest.mark.parametrize(("pair", "rows", "said"), WITH_OWN_ROWS.values(), ids=list(WITH_OWN_ROWS))
def test_an_undo_is_tried_on_rows_that_only_its_own_version_allows(
    proving: Prove, pair: Pair, rows: str, said: str
) -> None:
    proof = proving(CUSTOMERS, pair, fixtures={**ROWS, 2: rows})
    (problem,) = problems(proof)
    assert said in problem
    assert not proof.versions[1].ok


def test_rows_that_do_not_fit_are_told_with_their_line(proving: Prove, tmp_path: Path) -> None:
    proof = proving(CUSTOMERS, fixtures={1: "SELECT 1;\nINSERT INTO bank.customers VALUES (1), (1)"})
    assert proof.problems == (
        (
            f"the rows do not fit version 001: {tmp_path}/fixtures/V001.sql:2:"
            ' duplicate key value violates unique constraint "customers_pkey" (SQLSTATE 23505)'
        ),
    )
    assert not proof.ok


def test_deferred_constraints_are_checked_before_the_look(proving: Prove) -> None:
    parents = (
        "CREATE TABLE bank.p (id int PRIMARY KEY, up int REFERENCES bank.p DEFERRABLE INITIALLY DEFERRED)",
        "DROP TABLE bank.p",
    )
    proof = proving(parents, fixtures={1: "INSERT INTO bank.p VALUES (2, 1), (1, NULL)"})
    assert problems(proof) == []


def test_files_outside_a_transaction_are_proven_too(proving: Prove) -> None:
    mark = "-- neonctl: non-transactional\n"
    concurrently: Pair = (
        f"{mark}CREATE INDEX CONCURRENTLY customers_note ON bank.customers (note)",
        f"{mark}DROP INDEX CONCURRENTLY bank.customers_note",
    )
    forgetful: Pair = (f"{mark}CREATE INDEX CONCURRENTLY other ON bank.customers (note)", "SELECT 1")
    proof = proving(CUSTOMERS, concurrently, forgetful, fixtures={**ROWS, 2: "INSERT INTO bank.customers VALUES (3)"})
    assert proof.versions[1].problems == ()
    assert proof.versions[1].tables_with_rows == 1
    assert proof.versions[2].problems[0] == (
        "after U003__step_rollback.sql: index bank.customers.other: was not there before"
    )


def test_below_a_baseline_nothing_is_undone(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    conn.execute(ROWS[1].encode())
    conn.execute(ADD_COLUMN.encode())
    conn.execute("CREATE TABLE bank.third (id int)")
    proof = proving(
        ("SELECT 1", "SELECT no_such_undo"),
        (ADD_COLUMN, "ALTER TABLE bank.customers DROP email"),
        ("CREATE TABLE bank.third (id int)", "DROP TABLE bank.third"),
        applied=3,
        baseline=1,
    )
    assert problems(proof) == []
    assert proof.baseline == 1
    assert [version.version for version in proof.versions] == ["002", "003"]
    assert conn.execute("SELECT count(*) FROM bank.customers").fetchone() == (2,)


def test_an_undo_that_fails_above_a_baseline_does_not_clear_the_database(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    conn.execute(ADD_COLUMN.encode())
    proof = proving(("SELECT 1", "SELECT 1"), (ADD_COLUMN, "SELECT no_such_undo"), applied=2, baseline=1)
    assert "fails" in proof.versions[0].problems[0]
    assert conn.execute("SELECT to_regclass('bank.customers') IS NOT NULL").fetchone() == (True,)


def test_what_was_made_by_hand_on_the_copied_database_is_told_apart(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    conn.execute("ALTER TABLE bank.customers ADD by_hand text; CREATE TABLE bank.by_hand (id int)")
    proof = proving(CUSTOMERS, applied=1)
    assert proof.ok
    assert notes(proof) == [
        "table bank.by_hand was there below all migrations; none of them makes it",
        "the copied database differs from what the files make: column bank.customers.by_hand: was not there before",
        "the copied database differs from what the files make: table bank.by_hand: was not there before",
        (
            "the copied database differs from what the files make: table bank.customers:"
            " columns was id, name, note, is id, name, note, by_hand"
        ),
        "plpgsql_check was skipped: the server does not have it",
    ]


def test_repeatable_files_run_last_and_twice(proving: Prove) -> None:
    view = "CREATE OR REPLACE VIEW bank.names AS SELECT name FROM bank.customers"
    assert proving(CUSTOMERS, repeatable=[view]).ok


def test_a_repeatable_file_that_cannot_run_twice_is_a_problem(proving: Prove) -> None:
    proof = proving(CUSTOMERS, repeatable=["CREATE VIEW bank.names AS SELECT name FROM bank.customers"])
    (problem,) = proof.problems
    assert problem.startswith("R__again_1.sql: ")
    assert problem.endswith('R__again_1.sql:1: relation "names" already exists (SQLSTATE 42P07)')


def test_the_same_files_have_the_same_proof_and_others_another(
    proving: Prove, tmp_path: Path, conn: Connection
) -> None:
    first = proving(CUSTOMERS, fixtures=ROWS)

    def again() -> Proof:
        files, rows = read_folder(tmp_path / "migrations"), read_fixtures(tmp_path / "fixtures")
        conn.execute("DROP TABLE bank.customers")
        return prove(conn, database="bank_core", files=files, fixtures=rows, progress=print, settings=SETTINGS)

    assert again().proof_id == first.proof_id
    undo = tmp_path / "migrations" / "U001__step_rollback.sql"
    undo.write_text(undo.read_text() + "\n")
    assert again().proof_id != first.proof_id


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.sql", "SELECT 1", "is not named like V001.sql"),
        ("V001.sql", b"\xff", "is not UTF-8 (byte 0)"),
        ("V0001.sql", "SELECT 1", "version 1 is there more than once"),
    ],
)
def test_fixture_files_that_are_wrong_are_refused(tmp_path: Path, name: str, text: str | bytes, said: str) -> None:
    (tmp_path / "V001.sql").write_text("SELECT 1")
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FixtureFilesError) as caught:
        read_fixtures(tmp_path)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("fixture", "said"),
    [
        ({1: "COMMIT"}, "found transaction_stmt"),
        ({1: "COPY bank.customers FROM STDIN"}, "found copy_stmt"),
        ({1: "SELEC"}, "syntax error"),
        ({7: "SELECT 1"}, "there is no version 7"),
    ],
)
def test_fixtures_hold_rows_of_versions_that_are_there(proving: Prove, fixture: dict[int, str], said: str) -> None:
    with pytest.raises(FixtureFilesError) as caught:
        proving(CUSTOMERS, fixtures=fixture)
    assert said in caught.value.message


def test_no_folder_means_no_fixtures(tmp_path: Path) -> None:
    assert read_fixtures(tmp_path / "nowhere") == ()


def test_the_session_is_given_back_without_what_the_proof_put_there(proving: Prove, conn: Connection) -> None:
    proving(CUSTOMERS)
    assert conn.execute("SELECT name FROM pg_prepared_statements WHERE name LIKE 'neonctl%'").fetchall() == []
    assert conn.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_a_connection_that_breaks_is_told_as_such(proving: Prove) -> None:
    with pytest.raises(ServiceError) as caught:
        proving(CUSTOMERS, ("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"))
    assert caught.value.code == "DATABASE_CONNECTION_LOST"


def test_the_record_of_migrations_is_not_touched(proving: Prove, conn: Connection) -> None:
    conn.execute(CUSTOMERS[0].encode())
    proving(CUSTOMERS, (ADD_COLUMN, "ALTER TABLE bank.customers DROP email"), applied=1)
    assert conn.execute("SELECT version FROM flyway_schema_history").fetchall() == [("001",)]


def test_rows_that_cannot_be_read_are_told(proving: Prove, conn: Connection) -> None:
    conn.execute("CREATE TABLE bank.bad (a int, b int GENERATED ALWAYS AS (1 / a) VIRTUAL)")
    conn.execute("INSERT INTO bank.bad VALUES (0)")
    with pytest.raises(ServiceError) as caught:
        proving(CUSTOMERS)
    assert caught.value.code == "MIGRATION_PROOF_STOPPED"
    assert "division by zero" in caught.value.message

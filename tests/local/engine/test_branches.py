from __future__ import annotations

import threading

import psycopg
import pytest

from neonctl.errors import NeonctlError
from neonctl.local.engine import Ports

from .conftest import Running

Main = tuple[str, str, Ports]
ACCOUNTS = 2000


def test_a_branch_of_a_busy_parent_is_consistent(running: Running) -> None:
    parent, _, ports = running.branch()
    with running.connect(ports.direct) as setup:
        setup.execute("CREATE TABLE accounts (id int PRIMARY KEY, amount int)")
        setup.execute(f"INSERT INTO accounts SELECT i, 100 FROM generate_series(1, {ACCOUNTS}) i")
        setup.execute("CREATE TABLE entries (id bigserial PRIMARY KEY, account int REFERENCES accounts)")
        setup.execute("CREATE UNLOGGED TABLE scratch (x int)")
    stop, failures = threading.Event(), []

    def move(seed: int) -> None:
        try:
            with running.connect(ports.direct) as client:
                while not stop.is_set():
                    client.execute(
                        "WITH a AS (SELECT 1 + (random() * %s)::int AS f, 1 + (random() * %s)::int AS t),"
                        " w AS (INSERT INTO entries (account) SELECT f FROM a)"
                        " UPDATE accounts SET amount = amount"
                        " + (id = (SELECT t FROM a))::int - (id = (SELECT f FROM a))::int"
                        " WHERE id IN (SELECT f FROM a UNION SELECT t FROM a)",
                        [ACCOUNTS - 1, ACCOUNTS - 1],
                    )
        except psycopg.Error as error:
            failures.append(error)

    def checkpoint() -> None:
        while not stop.is_set():
            running.sql(parent, "CHECKPOINT")
            stop.wait(0.02)

    threads = [threading.Thread(target=move, args=[i]) for i in range(3)] + [threading.Thread(target=checkpoint)]
    for thread in threads:
        thread.start()
    try:
        child, _, child_ports = running.branch(parent)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    running.sql(
        child,
        "CREATE EXTENSION amcheck",
        "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = relam"
        " WHERE relkind = 'i' AND amname = 'btree' AND relpersistence <> 't'",
        dbname="bank",
    )
    assert running.sql(child, "SELECT 1 FROM verify_heapam('accounts')", dbname="bank") == []
    with running.connect(child_ports.direct) as client:  # the parent's password holds
        assert client.execute("SELECT sum(amount), count(*) FROM accounts").fetchone() == (100 * ACCOUNTS, ACCOUNTS)
        client.execute("DELETE FROM entries")
    assert running.sql(parent, "SELECT 1 FROM entries LIMIT 1", dbname="bank") != []
    assert running.sql(parent, "SELECT 1 FROM pg_replication_slots") == []


def test_slots_and_subscriptions_stay_with_the_parent(running: Running) -> None:
    parent, _, ports = running.branch(wal_logical=True)
    with running.connect(ports.direct) as client:
        client.execute("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')")
        running.sql(
            parent,
            "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere.invalid' PUBLICATION p"
            " WITH (connect = false, slot_name = 'remote')",
            dbname="bank",
        )
    child, _, _ = running.branch(parent, wal_logical=True)
    assert running.sql(child, "SELECT 1 FROM pg_subscription") == []
    assert running.sql(child, "SELECT 1 FROM pg_replication_slots") == []
    assert running.sql(child, "SHOW max_logical_replication_workers") == [("4",)]
    assert running.sql(parent, "SELECT subname FROM pg_subscription") == [("feed",)]
    assert running.sql(parent, "SELECT slot_name FROM pg_replication_slots") == [("cdc",)]


def test_reset_brings_the_source_and_keeps_the_ports(running: Running) -> None:
    parent, _, ports = running.branch()
    child, endpoint, child_ports = running.branch(parent)
    with running.connect(child_ports.direct) as client:
        client.execute("CREATE TABLE only_here (x int)")
    with running.connect(ports.direct) as client:
        client.execute("CREATE TABLE since_then (x int)")
    running.call(running.engine.reset_branch(child, source=parent))
    assert running.engine.compute_active(endpoint)
    with running.connect(child_ports.direct) as client:
        tables = client.execute("SELECT relname FROM pg_class WHERE relname IN ('only_here', 'since_then')")
        assert tables.fetchall() == [("since_then",)]
    running.call(running.engine.delete_branch(child))
    running.call(running.engine.delete_branch(child))
    with pytest.raises(NeonctlError, match="no branch"):
        running.call(running.engine.expose("ep-late", child, running.engine._computes["ep-test-0"].config))
    with pytest.raises(psycopg.OperationalError):
        running.connect(child_ports.direct)


def test_a_schema_only_branch_has_everything_but_rows(running: Running, main: Main) -> None:
    with running.connect(main[2].direct) as client:
        client.execute("CREATE ROLE so_writer LOGIN CONNECTION LIMIT 7 PASSWORD 'Writer-password-42'")
        client.execute("CREATE ROLE so_reader; ALTER ROLE so_reader SET statement_timeout = '5s'")
        client.execute("GRANT so_reader TO so_writer WITH ADMIN OPTION; COMMENT ON ROLE so_reader IS 'note'")
        client.execute("CREATE SCHEMA so; CREATE TABLE so.secret (id serial PRIMARY KEY, name text DEFAULT 'x')")
        client.execute("INSERT INTO so.secret (name) SELECT 'customer' FROM generate_series(1, 50)")
        client.execute("CREATE MATERIALIZED VIEW so.copy AS SELECT * FROM so.secret")
        client.execute("GRANT USAGE ON SCHEMA so TO so_writer; GRANT SELECT (id) ON so.secret TO so_writer")
        client.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA so GRANT SELECT ON TABLES TO so_reader")
        client.execute("REVOKE TEMP ON DATABASE bank FROM PUBLIC; GRANT TEMP ON DATABASE bank TO so_writer")
    running.call(running.engine.create_schema_only_branch("br-schema", source=main[0]))
    config = running.engine._computes[main[1]].config
    ports = running.call(running.engine.expose("ep-schema", "br-schema", config))
    with running.connect(ports.direct, user="so_writer", password="Writer-password-42") as client:
        assert client.execute("SELECT count(id) FROM so.secret").fetchone() == (0,)
        assert client.execute("SELECT pg_sequence_last_value('so.secret_id_seq')").fetchone() is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("SELECT name FROM so.secret")
    facts = (
        "SELECT rolname, rolconnlimit, rolpassword FROM pg_authid ORDER BY 1",
        "SELECT member::regrole::text, roleid::regrole::text, admin_option FROM pg_auth_members ORDER BY 1, 2",
        "SELECT defaclobjtype::text, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(defaclacl) a) FROM pg_default_acl ORDER BY 1, 2",
        "SELECT datname, datdba::regrole::text, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a) FROM pg_database ORDER BY 1",
        "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting ORDER BY 1",
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_authid WHERE rolname = 'so_reader'",
        (
            "SELECT oid::regclass::text, relowner::regrole::text, "
            "(SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a)"
            " FROM pg_class WHERE relnamespace = 'so'::regnamespace ORDER BY 1"
        ),
    )
    for query in facts:
        assert running.sql("br-schema", query, dbname="bank") == running.sql(main[0], query, dbname="bank")
    data = running.data_dir / "branches" / "br-schema"
    assert not any(b"customer" in file.read_bytes() for file in data.rglob("*") if file.is_file())

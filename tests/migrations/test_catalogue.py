from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from catalogue_cases import CASES, SETUP
from neonctl.migrations.catalogue import (
    CATALOGUE_QUERY,
    PIN_SETTINGS,
    Catalogue,
    Difference,
    differences,
    read_catalogue,
)
from postgres_server import PostgresServer

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def bank(postgres_server: PostgresServer) -> Generator[Connection]:
    """One database with one of every kind of object. A test leaves it as it was."""
    with postgres_server.database() as name, postgres_server.connect(name) as conn:
        conn.execute(SETUP)
        yield conn
    with postgres_server.connect() as admin:
        admin.execute("DROP ROLE cat_reader, cat_writer")


@pytest.fixture(scope="module")
def before(bank: Connection) -> Catalogue:
    return read_catalogue(bank)


@contextmanager
def taken_back(conn: Connection) -> Generator[None]:
    with conn.transaction(force_rollback=True):
        yield


def after(conn: Connection, change: str) -> Catalogue:
    with taken_back(conn):
        conn.execute(change.encode())
        return read_catalogue(conn)


def named(difference: Difference) -> str:
    if difference.property:
        return f"{difference.object} / {difference.property}"
    return f"{'-' if difference.after is None else '+'} {difference.object}"


@pytest.mark.parametrize(("change", "expected"), CASES, ids=[change for change, _ in CASES])
def test_a_change_is_named_and_nothing_else(
    bank: Connection, before: Catalogue, change: str, expected: tuple[str, ...]
) -> None:
    found = differences(before, after(bank, change))
    assert sorted(map(named, found)) == sorted(expected), [str(each) for each in found]


def test_the_same_things_made_in_another_order_and_with_detours_list_the_same(
    postgres_server: PostgresServer,
) -> None:
    straight = """
        CREATE SCHEMA s;
        CREATE TYPE s.kind AS ENUM ('A', 'B');
        CREATE TABLE s.one (id int PRIMARY KEY, kind s.kind, b int);
        CREATE TABLE s.two (id int REFERENCES s.one, note text);
        CREATE INDEX two_note ON s.two (note);
        CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    """
    detour = """
        CREATE SCHEMA s;
        CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        GRANT EXECUTE ON FUNCTION s.f() TO CURRENT_USER;
        CREATE TABLE s.two (id int, gone int, note text);
        GRANT SELECT ON s.two TO PUBLIC;
        REVOKE SELECT ON s.two FROM PUBLIC;
        CREATE TYPE s.kind AS ENUM ('B');
        ALTER TYPE s.kind ADD VALUE 'A' BEFORE 'B';
        ALTER TABLE s.two DROP gone;
        CREATE INDEX two_note ON s.two (note);
        CREATE TABLE s.one (id int PRIMARY KEY, b0 int, kind s.kind, b int);
        ALTER TABLE s.one DROP b0;
        ALTER TABLE s.two ADD FOREIGN KEY (id) REFERENCES s.one;
    """
    listings: list[Catalogue] = []
    for script in (straight, detour):
        with postgres_server.database() as name, postgres_server.connect(name) as conn:
            conn.execute(script.encode())
            listings.append(read_catalogue(conn))
    assert differences(*listings) == ()
    assert listings[0].sha256 == listings[1].sha256


def test_the_sessions_settings_neither_change_the_listing_nor_are_changed_by_it(
    bank: Connection, before: Catalogue
) -> None:
    with taken_back(bank):
        bank.execute("ALTER TABLE bank.accounts ADD at timestamptz DEFAULT '2026-01-31 12:00+13'")
        expected = read_catalogue(bank)
    bank.execute("SET search_path = bank, public; SET TimeZone = 'Pacific/Auckland'; SET DateStyle = 'German, DMY'")
    bank.execute("SET quote_all_identifiers = on")
    try:
        assert read_catalogue(bank).lines == before.lines
        assert after(bank, "ALTER TABLE bank.accounts ADD at timestamptz DEFAULT '2026-01-31 12:00+13'") == expected
        kept = bank.execute("SELECT current_setting('search_path'), current_setting('TimeZone')").fetchone()
        assert kept == ("bank, public", "Pacific/Auckland")
    finally:
        bank.execute("RESET ALL")


def test_it_can_be_a_subselect_and_says_so_when_nobody_pinned_the_settings(bank: Connection, before: Catalogue) -> None:
    statement = sql.SQL("SELECT string_agg(line, E'\\n') FROM ({}) AS listing").format(sql.SQL(CATALOGUE_QUERY))
    with taken_back(bank):
        bank.execute(PIN_SETTINGS)
        row = bank.execute(statement).fetchone()
    assert row is not None
    assert Catalogue.from_text(str(row[0])) == before
    careless = bank.execute(statement).fetchone()
    assert careless is not None
    assert 'catalogue: taken with search_path = "$user", public' in str(careless[0]).split("\n")


def test_a_role_without_rights_sees_the_same(
    postgres_server: PostgresServer, bank: Connection, before: Catalogue
) -> None:
    bank.execute("ALTER ROLE cat_reader LOGIN")
    with postgres_server.connect(bank.info.dbname, "cat_reader") as reader:
        assert differences(before, read_catalogue(reader)) == ()


def test_the_record_of_migrations_and_what_is_not_ours_are_left_out(bank: Connection, before: Catalogue) -> None:
    made = """
        CREATE TABLE public.flyway_schema_history (installed_rank int PRIMARY KEY);
        CREATE INDEX flyway_schema_history_s_idx ON public.flyway_schema_history (installed_rank);
        CREATE TABLE public.neonctl_evidence (entry bigint PRIMARY KEY, CHECK (entry > 0));
        COMMENT ON COLUMN public.neonctl_evidence.entry IS 'x';
        CREATE FUNCTION public.neonctl_evidence_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';
        REVOKE EXECUTE ON FUNCTION public.neonctl_evidence_refuse() FROM PUBLIC;
        CREATE TRIGGER t BEFORE DELETE ON public.neonctl_evidence EXECUTE FUNCTION public.neonctl_evidence_refuse();
        CREATE TEMPORARY TABLE scratch (id int);
        CREATE ROLE neon_superuser;
        GRANT SELECT ON bank.accounts TO neon_superuser;
        ALTER DEFAULT PRIVILEGES IN SCHEMA other GRANT SELECT ON TABLES TO neon_superuser;
    """
    assert differences(before, after(bank, made)) == ()


STRANGE = 'a: b = "c".d\\n\ne\u2028f'


def test_names_and_texts_of_any_kind_survive_the_listing(bank: Connection, before: Catalogue) -> None:
    name = sql.Identifier(STRANGE)
    change = sql.SQL(
        "CREATE TABLE {n}.{n} ({n} int CONSTRAINT {n} CHECK ({n} > 0)); COMMENT ON COLUMN {n}.{n}.{n} IS {text}"
    ).format(n=name, text=sql.Literal(STRANGE))
    with taken_back(bank):
        bank.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        empty = read_catalogue(bank)
        bank.execute(change)
        full = read_catalogue(bank)
        bank.execute(sql.SQL("COMMENT ON COLUMN {n}.{n}.{n} IS 'other'").format(n=name))
        other = read_catalogue(bank)
    assert Catalogue.from_text(full.text) == full
    quoted = name.as_string(bank)
    (made,) = differences(empty, full)
    assert made == Difference(f"table {quoted}.{quoted}".replace("\\", "\\\\").replace("\n", "\\n"), None, "there")
    (changed,) = differences(full, other)
    assert (changed.property, changed.before, changed.after) == ("comment", STRANGE, "other")


def test_a_difference_reads_as_one_line(bank: Connection, before: Catalogue) -> None:
    def said(change: str) -> list[str]:
        return list(map(str, differences(before, after(bank, change))))

    assert said("ALTER TABLE bank.accounts ALTER customer DROP NOT NULL") == [
        "column bank.accounts.customer: not null was yes, is not set"
    ]
    assert said("ALTER TABLE bank.accounts ALTER note TYPE varchar(20)") == [
        "column bank.accounts.note: type was text, is character varying(20)"
    ]
    assert said("CREATE TABLE bank.new ()") == ["table bank.new: was not there before"]
    assert said("DROP RULE customers_stay ON bank.customers") == [
        "rule bank.customers.customers_stay: is not there any more"
    ]
    body = (
        "CREATE OR REPLACE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN new;\nEND $$"
    )
    assert said(body) == ["function bank.touch(): definition differs: - new.note := 'touched';"]
    assert said("COMMENT ON SCHEMA bank IS 'a\nb'") == ["schema bank: comment was not set, is a b"]


def test_equal_listings_have_no_differences(before: Catalogue) -> None:
    assert differences(before, Catalogue.from_text(before.text)) == ()
    assert differences(Catalogue(()), Catalogue.from_text("")) == ()

"""Every kind of change to a schema is told, once, with the table that it belongs to; what is no migration's is not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from catalogue_cases import CASES, SETUP
from neonctl.cli.schema_diff_text import MARKDOWN_CHARACTERS, diff_document, diff_markdown, diff_text, object_lines
from neonctl.migrations.catalogue import Catalogue, by_object, differences, read_catalogue
from neonctl.migrations.schema_diff import ObjectChange, SchemaDiff, schema_diff
from neonctl.pipelines.schema_diff import DatabaseDiff
from postgres_server import PostgresServer

SEQUENCE = "bigint start 1 increment 1 from 1 to 9223372036854775807 cache 1"
OPPOSITE = {"added": "removed", "removed": "added", "changed": "changed"}


@pytest.fixture(scope="module")
def bank(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with postgres_server.database() as name, postgres_server.connect(name) as conn:
        conn.execute(SETUP)
        yield conn
    with postgres_server.connect() as admin:
        admin.execute("DROP ROLE cat_reader, cat_writer")


def told(diff: SchemaDiff) -> dict[str, str]:
    found = [each for change in diff.changes for each in (change, *change.parts)]
    return {each.object: each.state for each in found if each.differences or each.state != "changed"}


def test_every_kind_of_change_is_told_both_ways(bank):
    before = read_catalogue(bank)
    for change, expected in CASES:
        with bank.transaction(force_rollback=True):
            bank.execute(change.encode())
            after = read_catalogue(bank)
        there, back = schema_diff(before, after, database="bank"), schema_diff(after, before, database="bank")
        names = {each.partition(" / ")[0].removeprefix("+ ").removeprefix("- ") for each in expected}
        own = {name for name in names if name.startswith(("this database", "settings"))}
        left_out = {name for name in names if name.endswith(".postings_2026")} if there.partitions else set()
        said = {*told(there), *(each.object for each in there.changes)}
        said |= {name.replace("constraint ", "index ", 1) for name in said}  # an index that its constraint made
        assert names - own - left_out <= said, change
        assert {name: OPPOSITE[state] for name, state in told(back).items()} == told(there), change
        if names - own - left_out:
            assert object_lines(there.changes[0])[1:], f"{change}: a title with nothing below"


def test_a_new_table_is_one_thing_with_its_columns_in_their_order(bank):
    before = read_catalogue(bank)
    with bank.transaction(force_rollback=True):
        bank.execute("""
            CREATE TABLE bank.loans (
                z bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text NOT NULL DEFAULT 'x', m bank.status);
            ALTER TABLE bank.loans ADD CONSTRAINT some_m CHECK (m IS NOT NULL);
            GRANT SELECT ON bank.loans TO cat_reader""")
        after = read_catalogue(bank)
    (change,) = schema_diff(before, after, database="bank").changes
    lines = object_lines(change)
    assert [line.replace(", owner postgres", "") for line in lines if line != "+ owner: postgres"] == [
        "@@ new table bank.loans @@",
        "+ grant to cat_reader: SELECT",
        "+ column z: bigint, not null, identity always",
        "+ column a: text, not null, default 'x'::text",
        "+ column m: bank.status",
        "+ constraint loans_pkey: PRIMARY KEY (z)",
        "+ constraint some_m: CHECK ((m IS NOT NULL))",
        f"+ sequence loans_z_seq: {SEQUENCE}, identity of bank.loans.z",
    ]


def test_of_a_function_the_lines_that_differ_are_shown(bank):
    before = read_catalogue(bank)
    with bank.transaction(force_rollback=True):
        bank.execute("""CREATE OR REPLACE FUNCTION bank.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.note := 'moved';
    RETURN new;
END $$""")
        after = read_catalogue(bank)
    (change,) = schema_diff(before, after, database="bank").changes
    assert object_lines(change) == [
        "@@ function bank.touch() @@",
        "  AS $function$",
        "  BEGIN",
        "-     new.note := 'touched';",
        "+     new.note := 'moved';",
        "      RETURN new;",
        "  END $function$",
    ]


def test_partitions_that_time_makes_are_counted_not_told(bank):
    before = read_catalogue(bank)
    with bank.transaction(force_rollback=True):
        bank.execute("""
            CREATE TABLE bank.postings_2027 PARTITION OF bank.postings
                (CONSTRAINT some_day CHECK (day IS NOT NULL)) FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')""")
        after = read_catalogue(bank)
    assert schema_diff(before, after, database="bank") == SchemaDiff((), 1)
    assert schema_diff(after, before, database="bank") == SchemaDiff((), 1)


# --- pure -------------------------------------------------------------------------------------------------

TEXT = st.text(alphabet=st.sampled_from("ab`\\ \n:@<|#\u202e'"), min_size=1, max_size=12)
NAMES = st.sampled_from(["table s.t", "column s.t.a", "index s.t.i", "constraint s.t.i", "function s.f(integer)"])
LINES = st.lists(
    st.builds(
        lambda name, what, value: f"{name}: {what} = {_escaped(value)}",
        NAMES,
        st.sampled_from(["columns", "definition", "type", "owner", "grant to x"]),
        TEXT,
    ),
    max_size=8,
    unique_by=lambda line: line.partition(" = ")[0],
)
DIFFS = st.lists(
    st.builds(
        lambda database, before, after, ahead: DatabaseDiff(
            database, schema_diff(_catalogue(before), _catalogue(after), database="x"), ahead=tuple(ahead)
        ),
        st.sampled_from(["bank_core", "bank_aml"]),
        LINES,
        LINES,
        st.lists(TEXT, max_size=2),
    ),
    max_size=4,
)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _catalogue(lines: list[str]) -> Catalogue:
    return Catalogue(tuple(sorted(lines)))


@given(LINES, LINES)
def test_every_difference_is_told_or_another_says_it(before, after):
    one, other = _catalogue(before), _catalogue(after)
    diff = schema_diff(one, other, database="x")
    wanted = {each.object for each in differences(one, other)}
    assert set(told(diff)) <= by_object(one.lines).keys() | by_object(other.lines).keys()
    assert bool(wanted) >= bool(diff.changes)
    said_otherwise = {"index s.t.i"}  # where the constraint that made it says so
    columns = {"table s.t"}  # where its list of columns is all, and the columns say it
    assert wanted - said_otherwise - columns <= set(told(diff)) | {"column s.t.a", "constraint s.t.i"}
    assert schema_diff(_catalogue(before[::-1]), _catalogue(after[::-1]), database="x") == diff


@given(LINES)
def test_equal_listings_say_nothing(lines):
    diff = schema_diff(_catalogue(lines), _catalogue(lines), database="x")
    found = [DatabaseDiff("bank_core", diff)]
    assert diff == SchemaDiff()
    assert diff_markdown("pr-1", "dev", found) == ""
    assert diff_document("pr-1", "dev", found)["equal"] is True


@given(DIFFS, st.integers(min_value=600, max_value=3000))
def test_the_markdown_fits_and_holds_no_markup_of_others(found, most):
    text = diff_markdown("pr-1", "dev", found, most=most)
    assert len(text) <= most
    assert text == diff_markdown("pr-1", "dev", found, most=most)
    for each in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        assert each.type not in {"html_block", "table_open", "blockquote_open"}
        assert {inner.type for inner in each.children or ()} <= {"text", "code_inline", "strong_open", "strong_close"}
    json.dumps(diff_document("pr-1", "dev", found))
    assert diff_text("pr-1", "dev", found)


def test_what_is_too_long_is_cut_between_objects_and_says_so():
    many = tuple(ObjectChange(f"table s.t{n:05}", "added") for n in range(10_000))
    text = diff_markdown("pr-7", "dev", [DatabaseDiff("bank_core", SchemaDiff(many))])
    assert MARKDOWN_CHARACTERS * 0.8 < len(text) <= MARKDOWN_CHARACTERS
    shown = text.count("@@ new table")
    assert f"… and {10_000 - shown} more objects; all of it: `neonctl preview diff 7`" in text


def test_what_only_the_source_has_is_explained():
    diff = DatabaseDiff("bank_core", SchemaDiff(), behind=("V011__x.sql",))
    text = diff_markdown("pr-7", "dev", [diff])
    assert "only `dev` has `V011__x.sql`, so what was made there is told as gone; merge, then diff again" in text
